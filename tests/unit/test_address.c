#include "daemon/address.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "test.h"

static const struct {
    const char *text, *host, *port; /* host NULL: it is none */
} rows[] = {
    { "127.0.0.1:9100", "127.0.0.1", "9100" },
    { "0.0.0.0:1", "0.0.0.0", "1" },
    { "localhost:65535", "localhost", "65535" },
    { "my-host_2.example.com:80", "my-host_2.example.com", "80" },
    { "[::]:9100", "::", "9100" },
    { "[2001:db8::1.2.3.4]:9100", "2001:db8::1.2.3.4", "9100" },
    { "", NULL, NULL },
    { "9100", NULL, NULL },
    { ":9100", NULL, NULL },
    { "127.0.0.1", NULL, NULL },
    { "127.0.0.1:", NULL, NULL },
    { "127.0.0.1:0", NULL, NULL },
    { "127.0.0.1:65536", NULL, NULL },
    { "127.0.0.1:http", NULL, NULL },
    { "127.0.0.1: 80", NULL, NULL },
    { "::1:9100", NULL, NULL },
    { "[]:9100", NULL, NULL },
    { "[::1:9100", NULL, NULL },
    { "::1]:9100", NULL, NULL },
    { "[::1]9100", NULL, NULL },
    { "[localhost]:9100", NULL, NULL },
    { "http://localhost:9100", NULL, NULL },
    { "localhost:9100/metrics", NULL, NULL },
    { "user@localhost:9100", NULL, NULL },
    { "local host:9100", NULL, NULL },
    { "*:9100", NULL, NULL },
};

static void test_parse(void)
{
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct address address = { .host = "" };
        struct err err = ERR_INIT;
        int result = address_parse(rows[i].text, &address, &err);
        CHECK_ROW((result == 0) == (rows[i].host != NULL), "%s: %d", rows[i].text, result);
        if (rows[i].host) {
            CHECK_STRING(address.host, rows[i].host);
            CHECK_STRING(address.port, rows[i].port);
        } else {
            CHECK_ROW(result == NEVER && err_is(&err, "bad_address"), "%s", rows[i].text);
        }
    }
    char text[400];
    memset(text, 'a', sizeof(text));
    memcpy(text + sizeof(text) - 6, ":9100", 6);
    struct address address;
    CHECK(address_parse(text, &address, NULL) == NEVER);
    CHECK(address_parse(text + sizeof(text) - 6 - 255, &address, NULL) == 0 && strlen(address.host) == 255);
}

static void test_listen(void)
{
    struct err err = ERR_INIT;
    char text[64] = "";
    int fd = -1, other = -1, port = 20000 + getpid() % 10000;
    do
        snprintf(text, sizeof(text), "127.0.0.1:%d", ++port);
    while (address_listen(text, &fd, &err) != 0 && port < 40000);
    CHECK(fd >= 0);
    CHECK(address_listen(text, &other, &err) == NEVER);
    CHECK_ROW(err_is(&err, "cannot_listen") && strstr(err.text, strerror(EADDRINUSE)), "%s", err.text);
    close(fd);
    CHECK(address_listen("192.0.2.1:9100", &other, &err) == NEVER && strstr(err.text, strerror(EADDRNOTAVAIL)));
    CHECK(address_listen("no-such-host.invalid:9100", &other, &err) == NEVER);
    CHECK_ROW(err_is(&err, "cannot_listen") && strstr(err.text, "no-such-host.invalid"), "%s", err.text);
    CHECK(address_listen("nonsense", &other, &err) == NEVER && err_is(&err, "bad_address"));
}

int main(void)
{
    test_parse();
    test_listen();
    return test_end();
}
