/* provenance: what it adds to an item, and what stays unchanged. */
#include "itemgend/publish/provenance.h"
#include "test.h"

#include <string.h>

#define URL "https://stac-extensions.github.io/processing/v1.2.0/schema.json"
#define OURS "\"processing:software\":{\"stactools-x\":\"1.2\"}"

static const struct {
    const char *item, *expected;
} rows[] = {
    { "{\"properties\":{}}", "{\"properties\":{" OURS "},\"stac_extensions\":[\"" URL "\"]}" },
    { "{\"properties\":{\"a\":1.10},\"stac_extensions\":null}",
      "{\"properties\":{\"a\":1.10," OURS "},\"stac_extensions\":[\"" URL "\"]}" },
    { "{\"properties\":{},\"stac_extensions\":[\"https://x.org/a.json\"]}",
      "{\"properties\":{" OURS "},\"stac_extensions\":[\"https://x.org/a.json\",\"" URL "\"]}" },
    { "{\"properties\":{\"processing:software\":{\"gdal\":\"3.9\",\"stactools-x\":\"1.0\"}},\"stac_extensions\":[\"" URL
      "\"]}",
      "{\"properties\":{\"processing:software\":{\"gdal\":\"3.9\",\"stactools-x\":\"1.2\"}},\"stac_extensions\":"
      "[\"" URL "\"]}" },
    { "{\"properties\":{\"processing:software\":null},\"stac_extensions\":["
      "\"https://stac-extensions.github.io/processing/v1.1.0/schema.json\"]}",
      "{\"properties\":{" OURS "},\"stac_extensions\":["
      "\"https://stac-extensions.github.io/processing/v1.1.0/schema.json\"]}" },
    /* Wrong types stay, for the check of the item to report. */
    { "{\"properties\":{},\"stac_extensions\":\"x\"}", "{\"properties\":{" OURS "},\"stac_extensions\":\"x\"}" },
    { "{\"properties\":[]}", "{\"properties\":[]}" },
    { "{}", "{}" },
};

static bool add(void *context)
{
    size_t row = *(const size_t *)context;
    auto_json cJSON *item = NULL;
    auto_buf struct buf text = BUF_INIT;
    struct err err = ERR_INIT;
    int r = json_parse(rows[row].item, strlen(rows[row].item), &item, &err);
    if (r == 0)
        r = provenance_add(item, "stactools-x", "1.2", &err);
    if (r != 0)
        return false;
    json_write(item, &text);
    if (buf_failed(&text))
        return false;
    CHECK_STRING(buf_str(&text), rows[row].expected);
    return true;
}

int main(void)
{
    for (size_t row = 0; row < N_ELEMENTS(rows); row++) {
        CHECK_ROW(add(&row), "row %zu", row);
        test_failing_allocations(add, &row);
    }
    return test_end();
}
