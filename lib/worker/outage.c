#include "worker/outage.h"

#include "base/backoff.h"
#include "base/time.h"
#include "daemon/log.h"

enum { FIRST_WAIT_MS = 1000, LOG_AGAIN_FROM = 8 };

static void log_outage(struct outage *outage, const struct err *err)
{
    bool is_power_of_two = (outage->attempts & (outage->attempts - 1)) == 0;
    if (outage->attempts == 0)
        log_write(LOG_ERR, LOG_EVENT_DEPENDENCY_DOWN, LOG_FIELDS({ "ERROR_CODE", err->code }),
                  "%s: %s; receiving is paused until it works, leased messages are kept", outage->worker->name,
                  err->text);
    else if (strcmp(outage->code, err->code) != 0 || (outage->attempts >= LOG_AGAIN_FROM && is_power_of_two))
        log_write(LOG_WARNING, LOG_EVENT_WARNING, LOG_FIELDS({ "ERROR_CODE", err->code }),
                  "%s: still not working after %d attempts: %s", outage->worker->name, outage->attempts, err->text);
    else
        return;
    outage->code = err->code;
}

bool outage_wait(struct outage *outage, int result, const struct err *err)
{
    struct worker *worker = outage->worker;
    if (result != LATER || !err->outage) {
        worker->waits_for = NULL;
        if (outage->attempts > 0 && result == 0) {
            log_write(LOG_NOTICE, LOG_EVENT_DEPENDENCY_UP, NULL, "%s: working again after %d attempts", worker->name,
                      outage->attempts);
            outage->attempts = 0;
        }
        return false;
    }
    if (service_is_draining(worker->service))
        return false;
    log_outage(outage, err);
    worker->waits_for = err->code;
    outage->attempts++;
    int64_t wait_ms = backoff_ms(FIRST_WAIT_MS, 2, outage->probe_interval_ms, outage->attempts);
    wait_ms = backoff_jitter_ms(wait_ms, random_unit());
    service_pulse(worker, wait_ms + 60000);
    return wait_fd(-1, 0, service_drain_fd(worker->service), time_mono_ms() + wait_ms) != WAIT_STOPPED;
}
