/*
 * xml: reads the XML answers of AWS's Query and REST services (STS, SNS, S3's errors).
 *
 * - A path names elements from the root down: "PublishResponse/PublishResult/MessageId". "*" matches any one element.
 * - Namespaces are ignored.
 * - Document type declarations and entities other than XML's own are rejected: AWS does not send them, and a small text
 *   can expand to a huge one with them.
 */
#ifndef AWS_XML_H
#define AWS_XML_H

#include "base/buf.h"
#include "base/err.h"

enum { XML_MAX_DEPTH = 32 };

/*
 * Appends the text of the first element at `path`, without the text of its children.
 * - 0: found; the text may be empty.
 * - NEVER: "not_found"; "invalid_xml" with line and column.
 */
int xml_text(const char *xml, size_t len, const char *path, struct buf *ret, struct err *err) must_check;

/*
 * Reads the elements at `path` as rows, in document order. The fields of a row are the texts of the children named in
 * `fields`, which ends with NULL: for "R/Failed/member" and { "Id", "Code", NULL }, xml_field(rows, 0, 1) is the first
 * member's Code.
 * - 0, also if the path matches no element (0 rows).
 * - NEVER: "invalid_xml".
 */
struct xml_rows {
    struct buf texts;   /* each ends with a NUL */
    struct buf offsets; /* into `texts`: n * n_fields of size_t; SIZE_MAX: missing */
    size_t n, n_fields;
};
#define XML_ROWS_INIT     \
    {                     \
        .texts = BUF_INIT \
    }
int xml_rows(const char *xml, size_t len, const char *path, const char *const *fields, struct xml_rows *ret,
             struct err *err) must_check;
/* NULL: the row has no such child, or does not exist. Valid until xml_rows_clear. */
const char *xml_field(const struct xml_rows *rows, size_t row, size_t field);
/* Wipes the texts, which may be secret keys. */
void xml_rows_clear(struct xml_rows *rows);
#define auto_xml_rows cleanup(xml_rows_clear)

#endif
