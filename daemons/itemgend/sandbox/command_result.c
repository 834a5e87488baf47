#include "itemgend/sandbox/command_result.h"

#include "itemgend/sandbox/output.h"

void command_result_clear(struct command_result *result)
{
    buf_clear(&result->output);
}

/* click's error message; NULL: none. For a wrong option value it prints no usage before the message. */
static const char *refusal(const struct command_result *result)
{
    static const char start[] = "Error: ";
    const char *usage = output_from_line(&result->output, "Usage: stac");
    const char *error = usage ? strstr(usage, start) : output_from_line(&result->output, "Error: Option '--");
    return error ? error + strlen(start) : NULL;
}

/* Python and C++ print these when RLIMIT_DATA refuses them memory. */
static bool ran_out_of_memory(const struct command_result *result)
{
    const char *tail = output_tail(&result->output);
    return strstr(tail, "MemoryError") || strstr(tail, "std::bad_alloc");
}

static int out_of_memory(const struct command_result *result, const struct limits *limits, struct err *err)
{
    return err_never(err, "out_of_memory",
                     "create-item reached memory_limit: it used %lld MiB of %lld MiB, and could not get more: %.600s",
                     (long long)result->memory >> 20, (long long)limits->memory >> 20, output_tail(&result->output));
}

static int check_exit(const struct command_result *result, const struct limits *limits, struct err *err)
{
    if (result->exit_code == 0)
        return 0;
    const char *refused = refusal(result);
    if (result->exit_code == 2 && refused)
        return err_never(err, "bad_command", "stac refused the command: %.800s", refused);
    if (ran_out_of_memory(result))
        return out_of_memory(result, limits, err);
    return err_later(err, "create_item_failed", "create-item ended with exit code %d: %.800s", result->exit_code,
                     output_tail(&result->output));
}

int command_result_check(const struct command_result *result, const struct limits *limits, struct err *err)
{
    switch (result->end) {
    case COMMAND_EXITED:
        return check_exit(result, limits, err);
    case COMMAND_KILLED:
        if (ran_out_of_memory(result))
            return out_of_memory(result, limits, err);
        return err_later(err, "create_item_failed", "create-item was killed by signal %d (%s): %.600s",
                         result->signal_number, strsignal(result->signal_number), output_tail(&result->output));
    case COMMAND_TIME_LIMIT:
        return err_later(err, "time_limit", "create-item took longer than time_limit (%lld s): %.600s",
                         (long long)limits->time_ms / 1000, output_tail(&result->output));
    case COMMAND_MEMORY_LIMIT:
        if (result->memory <= limits->memory) /* its cgroup refused it more */
            return out_of_memory(result, limits, err);
        return err_never(err, "out_of_memory", "create-item used %lld MiB of memory, more than memory_limit (%lld MiB)",
                         (long long)result->memory >> 20, (long long)limits->memory >> 20);
    case COMMAND_CPU_LIMIT:
        return err_never(err, "cpu_limit", "create-item used %lld s of processor time, more than cpu_limit (%lld s)",
                         (long long)result->cpu_ms / 1000, (long long)limits->cpu_ms / 1000);
    case COMMAND_PROCESS_LIMIT:
        return err_never(err, "process_limit", "create-item had %lld processes, more than process_limit (%lld)",
                         (long long)result->processes, (long long)limits->processes);
    case COMMAND_DISK_LIMIT:
        return err_never(err, "disk_limit",
                         "create-item wrote %lld MiB to its directory, more than disk_limit (%lld MiB)",
                         (long long)result->disk >> 20, (long long)limits->disk >> 20);
    case COMMAND_OUTPUT_LIMIT:
        return err_never(err, "output_limit", "create-item printed %lld KiB, more than output_limit (%lld KiB): %.600s",
                         (long long)result->printed >> 10, (long long)limits->output >> 10,
                         output_tail(&result->output));
    default:
        return err_later(err, "interrupted", "create-item was interrupted because the service stops");
    }
}
