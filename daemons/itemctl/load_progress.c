#include "itemctl/load_progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define ERASE_LINE "\r\033[K"

enum { BAR_WIDTH = 24, DEFAULT_COLUMNS = 80 };

static bool is_set(const char *name)
{
    const char *value = getenv(name);
    return value && *value;
}

void load_progress_init(struct load_progress *progress)
{
    const char *terminal = getenv("TERM");
    progress->draws = isatty(STDERR_FILENO) && terminal && strcmp(terminal, "dumb") != 0;
    progress->colour = progress->draws && !is_set("NO_COLOR");
}

void load_progress_say(const struct load_progress *progress, const char *format, ...)
{
    char text[ERR_TEXT_SIZE * 2];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    err_make_printable(text);
    /* In one call, so that the lines of several threads do not mix. */
    fprintf(stderr, "%sitemctl: %s\n", progress->draws ? ERASE_LINE : "", text);
}

void load_progress_erase(const struct load_progress *progress)
{
    if (progress->draws)
        fputs(ERASE_LINE, stderr);
}

static void add_bar(double fraction, bool colour, struct buf *ret)
{
    int full = (int)(fraction * BAR_WIDTH);
    buf_puts(ret, colour ? "\033[32m" : "");
    for (int i = 0; i < BAR_WIDTH; i++)
        buf_putc(ret, i < full ? '#' : '-');
    buf_printf(ret, "%s %3d%%  ", colour ? "\033[0m" : "", (int)(fraction * 100));
}

static void add_eta(const struct load_progress_state *state, struct buf *ret)
{
    double done = state->fraction - state->fraction_at_start;
    if (done <= 0 || state->run_ms < 1000)
        return;
    int64_t left_s = (int64_t)((double)state->run_ms * (1 - state->fraction) / done / 1000);
    if (left_s < 3600)
        buf_printf(ret, "  ETA %lld:%02lld", (long long)(left_s / 60), (long long)(left_s % 60));
    else
        buf_printf(ret, "  ETA %lld:%02lld:%02lld", (long long)(left_s / 3600), (long long)(left_s / 60 % 60),
                   (long long)(left_s % 60));
}

/* A line longer than the width of the terminal could not be overwritten. So the bar is left out first, then the end. */
static size_t columns(void)
{
    struct winsize size = { .ws_col = 0 };
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : DEFAULT_COLUMNS;
}

void load_progress_draw(const struct load_progress *progress, const struct load_progress_state *state)
{
    if (!progress->draws)
        return;
    auto_buf struct buf bar = BUF_INIT, text = BUF_INIT;
    double rate = state->run_ms > 0 ? (double)state->run_documents * 1000 / (double)state->run_ms : 0;
    buf_printf(&text, "%lld done", (long long)state->counts->read);
    if (state->counts->rejected)
        buf_printf(&text, ", %lld rejected", (long long)state->counts->rejected);
    buf_printf(&text, "  %.0f/s", rate);
    if (state->fraction >= 0) {
        add_eta(state, &text);
        add_bar(state->fraction, progress->colour, &bar);
    }
    size_t width = columns(), bar_columns = BAR_WIDTH + 7;
    bool has_room = text.len + bar_columns < width;
    fprintf(stderr, "%s%s%.*s", ERASE_LINE, has_room ? buf_str(&bar) : "", (int)(width - 1), buf_str(&text));
    fflush(stderr);
}
