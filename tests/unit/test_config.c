#include "daemon/config_print.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "test.h"

struct settings {
    char *url, *name, *password;
    struct config_list allowed;
    int64_t workers, window_ms, memory, pin;
    bool verify;
    int level;
};

static const char *const levels[] = { "error", "info", "debug", NULL };

#define AT(member) offsetof(struct settings, member)

static const struct config_key keys[] = {
    { "queue_url", CONFIG_STRING, AT(url), .example = "https://x/1/q", .help = "The queue." },
    { "name", CONFIG_STRING, AT(name), .default_text = "", .help = "A name." },
    { "password", CONFIG_STRING, AT(password), .default_text = "", .secret = true, .help = "A secret." },
    { "pin", CONFIG_INT, AT(pin), 1000, 9999, .default_text = "1234", .secret = true, .help = "Another." },
    { "allowed", CONFIG_LIST, AT(allowed), .default_text = "[\"stac*\", b]",
      .help = "Patterns: *, ?. See the \\ manual." },
    { "workers", CONFIG_INT, AT(workers), 1, 64, .default_text = "4", .help = "How many." },
    { "batch_window", CONFIG_DURATION, AT(window_ms), 1000, 900000, .default_text = "60s", .example = "30s",
      .help = "Maximum age of a batch, from its first message. The batch is closed then, even if it has room for more "
              "messages." },
    { "memory", CONFIG_SIZE, AT(memory), 1024, 1 << 30, .default_text = "1MiB", .help = "How much." },
    { "verify", CONFIG_BOOL, AT(verify), .default_text = "true", .help = "Whether." },
    { "log_level", CONFIG_CHOICE, AT(level), .choices = levels, .default_text = "info", .help = "How loud." },
};

static void check_settings(const void *config, struct buf *errors)
{
    const struct settings *settings = config;
    if (settings->workers == 13)
        config_complain(errors, "workers", "13 brings bad luck with a window of %d ms", (int)settings->window_ms);
}

static const struct config_schema schema = {
    .prefix = "TESTD",
    .keys = keys,
    .n_keys = N_ELEMENTS(keys),
    .size = sizeof(struct settings),
    .check = check_settings,
};

static char path[] = "/tmp/test_config.XXXXXX";

static void write_file(const char *text, size_t len)
{
    FILE *file = fopen(path, "w");
    CHECK(file && fwrite(text, 1, len, file) == len && fclose(file) == 0);
}

/* Each "FILE" of `expected` stands for the path. */
static void expect_errors(const char *name, const char *expected, const char *got)
{
    auto_buf struct buf text = BUF_INIT;
    for (const char *c = expected; *c; c++) {
        if (strncmp(c, "FILE", 4) == 0) {
            buf_puts(&text, path);
            c += 3;
        } else {
            buf_putc(&text, *c);
        }
    }
    CHECK_ROW(strcmp(got, buf_str(&text)) == 0, "%s: got\n%sexpected\n%s", name, got, buf_str(&text));
}

#define FILE_ROW(text, errors)         \
    {                                  \
        text, sizeof(text) - 1, errors \
    }

static const struct {
    const char *text;
    size_t len;
    const char *errors; /* "": it loads */
} files[] = {
    FILE_ROW("queue_url: x\n", ""),
    FILE_ROW("---\n# c\nqueue_url: x # c\n...\n", ""),
    FILE_ROW("\xef\xbb\xbfqueue_url: x\n", ""),
    FILE_ROW("queue_url: \"\\u00e9\"\nallowed: []\nworkers: \"64\"\nverify: off\nlog_level: 'debug'\n", ""),
    FILE_ROW("queue_url: x\nname:\npassword: ~\n", ""),
    FILE_ROW("queue_url: x\nname: !!str\nallowed: [a, ~]\n",
             "FILE:2: name: tags are not supported\nFILE:3: allowed: contains an empty element\n"),
    FILE_ROW("queue_url:\n", "FILE:1: queue_url: has no value\n"),
    FILE_ROW("{queue_url: x, allowed: [a,\nb]}", ""),
    FILE_ROW("", "FILE: queue_url: is required; set it in this file or as TESTD_QUEUE_URL\n"),
    /* Unknown, set twice, of the wrong type, out of range: all are reported, in order. */
    FILE_ROW("queue_url: x\nqueue-url: y\nbatch_windw: 5s\nxyzzy: 1\nworkers: 0\nworkers: 2\nmemory: 2GiB\n"
             "batch_window: soon\nverify: 1\nlog_level: loud\n",
             "FILE:2: queue-url: unknown key; did you mean queue_url?\n"
             "FILE:3: batch_windw: unknown key; did you mean batch_window?\n"
             "FILE:4: xyzzy: unknown key\n"
             "FILE:5: workers: 0 is not in the range 1 to 64\n"
             "FILE:6: workers: is already set in line 5\n"
             "FILE:7: memory: 2GiB is not in the range 1KiB to 1GiB\n"
             "FILE:8: batch_window: expected a duration like 250ms, 60s, 5m or 12h, got \"soon\"\n"
             "FILE:9: verify: expected true or false, got \"1\"\n"
             "FILE:10: log_level: \"loud\" is not one of error, info, debug\n"),
    /* Shapes. */
    FILE_ROW("queue_url:\n  nested: {a: [1, 2]}\nname: [a]\nallowed: a\nworkers: [1, 2]\nverify:\nmemory: ~\n"
             "log_level: null\n",
             "FILE:1: queue_url: nested keys are not supported\n"
             "FILE:3: name: expected one value, got a list\n"
             "FILE:4: allowed: expected a list, for example [a, b]\n"
             "FILE:5: workers: expected one value, got a list\n"
             "FILE:6: verify: has no value\n"
             "FILE:7: memory: has no value\n"
             "FILE:8: log_level: has no value\n"),
    FILE_ROW("queue_url: &a x\nname: *a\nallowed: [&b c, d]\nworkers: !!str 3\n? [q]\n: 1\n<<: {a: 1}\n",
             "FILE:1: queue_url: anchors and aliases are not supported\n"
             "FILE:2: name: anchors and aliases are not supported\n"
             "FILE:3: allowed: anchors and aliases are not supported\n"
             "FILE:4: workers: tags are not supported\n"
             "FILE:5: a key must be plain text\n"
             "FILE:7: <<: unknown key\n"),
    FILE_ROW("queue_url: x\nallowed: [a, [b], {c: d}]\n",
             "FILE:2: allowed: a list contains plain values only, nested ones are not supported\n"),
    FILE_ROW("queue_url: x\nallowed: [a, '']\n", "FILE:2: allowed: contains an empty element\n"),
    FILE_ROW("queue_url: x\nallowed: [a, ]\nname: \"a\\0b\"\n", "FILE:3: name: contains a NUL character\n"),
    FILE_ROW("queue_url: x\nname: \"a\\nb\"\n\"k\\ny\": 1\n",
             "FILE:2: name: contains a control character or is not UTF-8\n"
             "FILE:3: k y: unknown key\n"),
    FILE_ROW("queue_url: \"\"\n", "FILE:1: queue_url: must not be empty\n"),
    FILE_ROW("name: x\n", "FILE: queue_url: is required; set it in this file or as TESTD_QUEUE_URL\n"),
    /* No YAML: what was read before is still checked, what may follow is not missed. */
    FILE_ROW("workers: 99\nname: \"x\n", "FILE:1: workers: 99 is not in the range 1 to 64\n"
                                         "FILE:3: is not valid YAML: found unexpected end of stream while scanning a "
                                         "quoted scalar that begins in line 2\n"),
    FILE_ROW(
        "workers: 1\nname: %x\n",
        "FILE:2: is not valid YAML: found character that cannot start any token while scanning for the next token that "
        "begins in line 2\n"),
    FILE_ROW("workers: 1\nname: \xff\n", "FILE:2: is not UTF-8\n"),
    FILE_ROW("workers: 1\n\nname: \x01\n", "FILE:3: is not valid YAML: control characters are not allowed\n"),
    FILE_ROW("- a\n", "FILE:1: expected lines of the form \"key: value\"\n"),
    FILE_ROW("just text\n", "FILE:1: expected lines of the form \"key: value\"\n"),
    FILE_ROW("queue_url: x\n---\nname: y\n",
             "FILE:2: a second YAML document begins here; a configuration has only one\n"),
    FILE_ROW("queue_url: x\nworkers: 13\n", "FILE:2: workers: 13 brings bad luck with a window of 60000 ms\n"),
    /* Never the secret itself. */
    FILE_ROW("queue_url: x\npassword: \"hun\\tter2\"\n",
             "FILE:2: password: contains a control character or is not UTF-8\n"),
    FILE_ROW("queue_url: x\npin: hunter2\n", "FILE:2: pin: is not valid (the value is secret, so it is not shown)\n"),
};

static void test_files(void)
{
    for (size_t i = 0; i < N_ELEMENTS(files); i++) {
        struct settings settings;
        auto_buf struct buf errors = BUF_INIT;
        write_file(files[i].text, files[i].len);
        struct config_source source = { .path = path };
        int result = config_load(&schema, &source, &settings, &errors);
        expect_errors(files[i].text, files[i].errors, buf_str(&errors));
        CHECK_ROW(result == (*files[i].errors ? NEVER : 0), "%s: result %d", files[i].text, result);
        struct settings zero = { .url = NULL };
        CHECK(result == 0 || memcmp(&settings, &zero, sizeof(zero)) == 0);
        config_clear(&schema, &settings);
    }
}

static void test_values(void)
{
    static const char text[] = "queue_url: 'it''s'\nbatch_window: 5m\nmemory: 2KiB\nverify: no\nlog_level: error\n"
                               "allowed:\n  - one\n  - two\n";
    write_file(text, sizeof(text) - 1);
    struct settings settings;
    auto_buf struct buf errors = BUF_INIT;
    struct config_source source = { .path = path, .must_exist = true };
    CHECK(config_load(&schema, &source, &settings, &errors) == 0);
    CHECK_STRING(settings.url, "it's");
    CHECK(!settings.name && !settings.password && settings.workers == 4 && settings.window_ms == 300000);
    CHECK(settings.memory == 2048 && !settings.verify && settings.level == 0 && settings.allowed.n == 2);
    CHECK_STRING(settings.allowed.items[1], "two");
    config_clear(&schema, &settings);
}

static void test_unreadable(void)
{
    struct settings settings;
    auto_buf struct buf errors = BUF_INIT;
    struct config_source source = { .path = "/nowhere/x.yaml", .must_exist = true };
    CHECK(config_load(&schema, &source, &settings, &errors) == NEVER);
    CHECK_STRING(buf_str(&errors), "/nowhere/x.yaml: cannot be read: No such file or directory\n");
    buf_reset(&errors);
    source = (struct config_source){ .path = "/tmp" };
    CHECK(config_load(&schema, &source, &settings, &errors) == NEVER);
    CHECK_STRING(buf_str(&errors), "/tmp: is not a regular file\n");
    buf_reset(&errors);
    auto_buf struct buf big = BUF_INIT;
    while (big.len <= 1024 * 1024)
        buf_puts(&big, "# a long comment, and another one after it, and so on\n");
    write_file(buf_str(&big), big.len);
    source.path = path;
    CHECK(config_load(&schema, &source, &settings, &errors) == NEVER);
    expect_errors("big", "FILE: is larger than 1 MiB\n", buf_str(&errors));
    /* Depth costs libyaml the square of it: it must be refused early. */
    buf_reset(&big);
    buf_reset(&errors);
    buf_puts(&big, "name: ");
    while (big.len < 1024 * 1024 - 1)
        buf_putc(&big, '[');
    write_file(buf_str(&big), big.len);
    CHECK(config_load(&schema, &source, &settings, &errors) == NEVER);
    expect_errors("deep", "FILE:1: is nested too deeply\n", buf_str(&errors));
}

static const struct {
    const char *variable, *value, *errors;
} variables[] = {
    { "TESTD_NAME", "n", "" },
    { "TESTD_NAME", "", "" },
    { "TESTD_UNKNOWN", "", "" },
    { "TESTDX_NAME", "n", "" },
    { "TESTD_BATCH_WINDW", "5s", "environment TESTD_BATCH_WINDW: unknown key; did you mean TESTD_BATCH_WINDOW?\n" },
    { "TESTD_name", "n", "environment TESTD_name: unknown key; did you mean TESTD_NAME?\n" },
    { "TESTD_", "n", "environment TESTD_: unknown key\n" },
    { "TESTD_WORKERS", "13", "environment TESTD_WORKERS: 13 brings bad luck with a window of 60000 ms\n" },
    { "TESTD_WORKERS", "many", "environment TESTD_WORKERS: expected a whole number, got \"many\"\n" },
    { "TESTD_NAME", "a\xff", "environment TESTD_NAME: contains a control character or is not UTF-8\n" },
    { "TESTD_ALLOWED", "a, b ,c", "" },
    { "TESTD_ALLOWED", "a,,c", "environment TESTD_ALLOWED: contains an empty element\n" },
    { "TESTD_PASSWORD", "a\x01", "environment TESTD_PASSWORD: contains a control character or is not UTF-8\n" },
};

static void test_environment(void)
{
    static const char text[] = "queue_url: x\nname: in file\n";
    write_file(text, sizeof(text) - 1);
    struct config_source source = { .path = path };
    for (size_t i = 0; i < N_ELEMENTS(variables); i++) {
        struct settings settings;
        auto_buf struct buf errors = BUF_INIT;
        setenv(variables[i].variable, variables[i].value, 1);
        int result = config_load(&schema, &source, &settings, &errors);
        unsetenv(variables[i].variable);
        expect_errors(variables[i].variable, variables[i].errors, buf_str(&errors));
        CHECK_ROW(result == (*variables[i].errors ? NEVER : 0), "%s: %d", variables[i].variable, result);
        if (i == 0)
            CHECK_STRING(settings.name, "n");
        if (i == 1)
            CHECK_STRING(settings.name, "in file");
        if (strcmp(variables[i].value, "a, b ,c") == 0) {
            CHECK(settings.allowed.n == 3);
            CHECK_STRING(settings.allowed.items[1], "b");
        }
        config_clear(&schema, &settings);
    }
    /* Without a file; and one that is not there is not complained of alone. */
    setenv("TESTD_QUEUE_URL", "from environment", 1);
    static const char *const paths[] = { NULL, "/nowhere/x.yaml" };
    for (size_t i = 0; i < N_ELEMENTS(paths); i++) {
        struct settings settings;
        auto_buf struct buf errors = BUF_INIT;
        source.path = paths[i];
        CHECK(config_load(&schema, &source, &settings, &errors) == 0);
        CHECK_STRING(settings.url, "from environment");
        config_clear(&schema, &settings);
    }
    unsetenv("TESTD_QUEUE_URL");
}

/* The printed configuration says where each value came from, hides the secret, and loads to the same values. */
static void test_print(void)
{
    static const char text[] =
        "# first\nqueue_url: \"a \\\"b\\\" # c\"\npassword: hunter2\nallowed: [\"x: y\", \"*\"]\n";
    write_file(text, sizeof(text) - 1);
    struct config_origin origins[N_ELEMENTS(keys)];
    struct config_source source = { .path = path, .origins = origins };
    struct settings settings;
    auto_buf struct buf errors = BUF_INIT, printed = BUF_INIT;
    setenv("TESTD_WORKERS", "7", 1);
    CHECK(config_load(&schema, &source, &settings, &errors) == 0);
    config_print(&schema, &source, &settings, &printed);
    expect_errors("print",
                  "queue_url: \"a \\\"b\\\" # c\"  # FILE:2\n"
                  "name: \"\"  # default\n"
                  "password: \"***\"  # FILE:3\n"
                  "pin: \"***\"  # default\n"
                  "allowed: [\"x: y\", \"*\"]  # FILE:4\n"
                  "workers: 7  # environment TESTD_WORKERS\n"
                  "batch_window: 1m  # default\n"
                  "memory: 1MiB  # default\n"
                  "verify: true  # default\n"
                  "log_level: info  # default\n",
                  buf_str(&printed));
    config_clear(&schema, &settings);
    unsetenv("TESTD_WORKERS");
    char *pin = strstr(printed.data, "pin: \"***\"");
    CHECK(pin);
    memcpy(pin, "pin:  1235 ", 11);
    write_file(buf_str(&printed), printed.len);
    source.origins = NULL;
    CHECK(config_load(&schema, &source, &settings, &errors) == 0);
    CHECK_STRING(buf_str(&errors), "");
    CHECK(settings.workers == 7);
    CHECK_STRING(settings.url, "a \"b\" # c");
    config_clear(&schema, &settings);
}

/* Parts of the documentation, by format. Required keys come first. */
static const struct {
    enum config_format format;
    const char *begin, *part;
} helps[] = {
    { CONFIG_TEXT,
      "queue_url\n    The queue.\n    Environment: TESTD_QUEUE_URL\n    Type: text\n    Default: none (required)\n"
      "    Example: https://x/1/q\n\nname\n",
      "batch_window\n"
      "    Maximum age of a batch, from its first message. The batch is closed then, even if it has room\n"
      "    for more messages.\n"
      "    Environment: TESTD_BATCH_WINDOW\n    Type: duration, 1s to 15m\n    Default: 60s\n    Example: 30s\n\n" },
    { CONFIG_YAML, "# The queue.\n# Environment: TESTD_QUEUE_URL. Type: text. Required.\n#queue_url: https://x/1/q\n\n",
      "# Environment: TESTD_BATCH_WINDOW. Type: duration, 1s to 15m.\n# Example: batch_window: 30s\n#batch_window: "
      "60s\n\n" },
    { CONFIG_YAML, "# The queue.\n", "# A name.\n# Environment: TESTD_NAME. Type: text.\n#name:\n\n" },
    { CONFIG_MAN,
      ".Bl -tag -width Ds\n.It Ic queue_url\nThe queue.\n.br\nEnvironment:\n.Ev TESTD_QUEUE_URL .\nType: text.\n",
      ".It Ic allowed\nPatterns: *, ?.\nSee the \\e manual.\n.br\n" },
    { CONFIG_MARKDOWN,
      "| key, variable | type | default | meaning |\n| --- | --- | --- | --- |\n"
      "| `queue_url`<br>`TESTD_QUEUE_URL` | text | **required** | The queue. Example: `https://x/1/q` |\n"
      "| `name`<br>`TESTD_NAME` | text | not set | A name. |\n",
      "| `[\"stac*\", b]` | Patterns: \\*, ?. See the \\\\ manual. |\n"
      "| `workers`<br>`TESTD_WORKERS` | whole number, 1 to 64 | `4` | How many. |\n" },
};

static void test_help(void)
{
    for (size_t i = 0; i < N_ELEMENTS(helps); i++) {
        auto_buf struct buf text = BUF_INIT;
        config_print_help(&schema, helps[i].format, &text);
        CHECK(!buf_failed(&text));
        CHECK_ROW(strncmp(buf_str(&text), helps[i].begin, strlen(helps[i].begin)) == 0, "row %zu: %s", i,
                  buf_str(&text));
        CHECK_ROW(strstr(buf_str(&text), helps[i].part), "row %zu: %s", i, buf_str(&text));
    }
    enum config_format format = CONFIG_TEXT;
    CHECK(config_print_format("man", &format) && format == CONFIG_MAN);
    CHECK(!config_print_format("text", &format) && !config_print_format("", &format));
}

static bool help_with_little_memory(void *context)
{
    (void)context;
    bool ok = true;
    for (int format = CONFIG_TEXT; format <= CONFIG_MARKDOWN; format++) {
        auto_buf struct buf text = BUF_INIT;
        config_print_help(&schema, (enum config_format)format, &text);
        ok &= !buf_failed(&text);
    }
    return ok;
}

static bool load_with_little_memory(void *context)
{
    (void)context;
    struct settings settings;
    auto_buf struct buf errors = BUF_INIT;
    struct config_source source = { .path = path };
    int result = config_load(&schema, &source, &settings, &errors);
    CHECK(result == -ENOMEM || result == 0);
    CHECK((result == 0) == (settings.url != NULL));
    config_clear(&schema, &settings);
    return result == 0;
}

static bool fail_with_little_memory(void *context)
{
    (void)context;
    struct settings settings;
    auto_buf struct buf errors = BUF_INIT;
    struct config_source source = { .path = path };
    int result = config_load(&schema, &source, &settings, &errors);
    CHECK(result == -ENOMEM || result == NEVER);
    CHECK(!settings.url);
    return result == NEVER;
}

static void test_allocations(void)
{
    static const char good[] = "queue_url: x\nname: y\nallowed: [a, b]\n";
    write_file(good, sizeof(good) - 1);
    setenv("TESTD_ALLOWED", "a,b", 1);
    test_failing_allocations(load_with_little_memory, NULL);
    static const char bad[] = "queue_url: x\nallowed: [a, [b]]\nworkrs: 1\nname: \"x\n";
    write_file(bad, sizeof(bad) - 1);
    setenv("TESTD_WORKRS", "3", 1);
    test_failing_allocations(fail_with_little_memory, NULL);
    test_failing_allocations(help_with_little_memory, NULL);
    unsetenv("TESTD_ALLOWED");
    unsetenv("TESTD_WORKRS");
}

int main(void)
{
    int fd = mkstemp(path);
    CHECK(fd >= 0 && close(fd) == 0);
    test_files();
    test_values();
    test_unreadable();
    test_environment();
    test_print();
    test_help();
    test_allocations();
    unlink(path);
    return test_end();
}
