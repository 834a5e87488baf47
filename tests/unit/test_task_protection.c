#include "daemon/task_protection.h"

#include <stdio.h>

#include "test.h"

/* One step each: the second, whether the task is busy, the expected call, and its answer. */
struct moment {
    int64_t at_s;
    bool is_busy;
    enum protection_call call;
    enum protection_answer answer; /* of a call */
};

#define NO PROTECTION_NOTHING
#define ON PROTECTION_ON
#define OFF PROTECTION_OFF
#define DONE PROTECTION_DONE
#define REFUSED PROTECTION_REFUSED
#define UNKNOWN PROTECTION_UNKNOWN

static const struct {
    const char *name;
    struct moment moments[14];
} stories[] = {
    { "idle from the start", { { 1, false, NO, 0 }, { 1000, false, NO, 0 } } },
    { "busy at once, and released half a minute after it was last busy",
      { { 1, true, ON, DONE },
        { 2, true, NO, 0 },
        { 3, false, NO, 0 },
        { 31, false, NO, 0 },
        { 32, false, OFF, DONE },
        { 33, false, NO, 0 },
        { 34, true, ON, DONE } } },
    { "a message now and then calls nobody",
      { { 1, true, ON, DONE },
        { 20, false, NO, 0 },
        { 30, true, NO, 0 },
        { 59, false, NO, 0 },
        { 59, true, NO, 0 },
        { 88, false, NO, 0 },
        { 89, false, OFF, DONE } } },
    { "renewed halfway",
      { { 1, true, ON, DONE },
        { 300, true, NO, 0 },
        { 301, true, ON, DONE },
        { 600, true, NO, 0 },
        { 601, true, ON, DONE },
        { 631, false, OFF, DONE } } },
    { "refused: tried again after a minute, nothing to release",
      { { 1, true, ON, REFUSED },
        { 2, true, NO, 0 },
        { 60, true, NO, 0 },
        { 61, true, ON, REFUSED },
        { 62, true, NO, 0 },
        { 92, false, NO, 0 },
        { 100, true, NO, 0 },
        { 121, true, ON, DONE } } },
    { "a renewal is refused: the protection is still there, and is released",
      { { 1, true, ON, DONE }, { 301, true, ON, REFUSED }, { 302, true, NO, 0 }, { 332, false, OFF, DONE } } },
    { "refused until it is over: then there is nothing to release",
      { { 1, true, ON, DONE },
        { 301, true, ON, REFUSED },
        { 361, true, ON, REFUSED },
        { 580, true, ON, REFUSED },
        { 605, false, NO, 0 },
        { 700, false, NO, 0 } } },
    { "no answer: it may have been done",
      { { 1, true, ON, UNKNOWN },
        { 2, true, NO, 0 },
        { 32, false, OFF, UNKNOWN },
        { 33, false, NO, 0 },
        { 34, true, ON, DONE } } },
    { "a release that fails is tried again after a minute, until the protection is over by itself",
      { { 1, true, ON, DONE },
        { 31, false, OFF, REFUSED },
        { 90, false, NO, 0 },
        { 91, false, OFF, UNKNOWN },
        { 151, false, OFF, REFUSED },
        { 601, false, NO, 0 } } },
    { "a release that was refused: busy again before its next renewal",
      { { 1, true, ON, DONE }, { 31, false, OFF, REFUSED }, { 32, true, NO, 0 }, { 301, true, ON, DONE } } },
};

static void test_stories(void)
{
    for (size_t i = 0; i < N_ELEMENTS(stories); i++) {
        struct protection_plan plan = { .busy_until_ms = 0 };
        for (size_t j = 0; j < N_ELEMENTS(stories[i].moments) && stories[i].moments[j].at_s > 0; j++) {
            const struct moment *moment = &stories[i].moments[j];
            /* A machine that has been up for a while. */
            int64_t now_ms = 5000000 + moment->at_s * 1000;
            enum protection_call call = protection_next(&plan, now_ms, moment->is_busy);
            CHECK_ROW(call == moment->call, "%s, %d s: %d", stories[i].name, (int)moment->at_s, (int)call);
            if (call != PROTECTION_NOTHING)
                protection_note(&plan, now_ms, call, moment->answer);
        }
    }
}

static const struct {
    int status;
    const char *body;
    const char *code; /* NULL: done */
    const char *text; /* within it */
} answers[] = {
    { 200,
      "{\"protection\":{\"ProtectionEnabled\":true,\"ExpirationDate\":\"2022-10-06T02:29:16Z\",\"TaskArn\":\"a\"}}",
      NULL, NULL },
    { 200, "{\"protection\":{\"ProtectionEnabled\":false,\"ExpirationDate\":null,\"TaskArn\":\"a\"}}", NULL, NULL },
    { 200, "{\"failure\":{\"Arn\":\"a\",\"Reason\":\"DEPLOYMENT_BLOCKED\",\"Detail\":null}}", "deployment_blocked",
      "ECS answers 200 DEPLOYMENT_BLOCKED" },
    { 400, "{\"failure\":{\"Arn\":\"a\",\"Reason\":\"DEPLOYMENT_BLOCKED\",\"Detail\":\"why\"}}", "deployment_blocked",
      "400 DEPLOYMENT_BLOCKED: why" },
    { 200, "{\"failure\":{\"Arn\":\"a\",\"Reason\":\"TASK_NOT_VALID\"}}", "task_not_valid", "TASK_NOT_VALID" },
    { 400, "{\"requestID\":\"r\",\"error\":{\"Arn\":\"a\",\"Code\":\"AccessDeniedException\",\"Message\":\"may not\"}}",
      "task_protection_failed", "400 AccessDeniedException: may not" },
    { 504, "{\"error\":{\"Code\":\"RequestCanceled\",\"Message\":\"Timed out\"}}", "task_protection_failed",
      "504 RequestCanceled" },
    { 500, "{\"protection\":{}}", "task_protection_failed", "500 without a protection" },
    { 200, "{}", "task_protection_failed", "200 without a protection" },
    { 200, "[1]", "task_protection_failed", "200 without a protection" },
    { 200, "{\"failure\":{\"Reason\":5}}", "task_protection_failed", "without a protection" },
    { 404, "404 page not found", "task_protection_failed", "404 without JSON" },
    { 200, "", "task_protection_failed", "without JSON" },
};

static void test_answers(void)
{
    for (size_t i = 0; i < N_ELEMENTS(answers); i++) {
        struct err err = ERR_INIT;
        enum protection_answer answer =
            protection_read(answers[i].status, answers[i].body, strlen(answers[i].body), &err);
        CHECK_ROW(answer == (answers[i].code ? PROTECTION_REFUSED : PROTECTION_DONE), "%s", answers[i].body);
        if (!answers[i].code)
            continue;
        CHECK_STRING(err.code, answers[i].code);
        CHECK_ROW(strstr(err.text, answers[i].text) != NULL, "%s", err.text);
    }
}

static bool read_one(void *context)
{
    (void)context;
    return protection_read(200, answers[0].body, strlen(answers[0].body), NULL) == PROTECTION_DONE;
}

int main(void)
{
    test_stories();
    test_answers();
    test_failing_allocations(read_one, NULL);
    return test_end();
}
