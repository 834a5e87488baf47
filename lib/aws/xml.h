/*
 * xml: reading the XML answers of AWS's Query and REST services (STS, SNS, S3's errors).
 *
 * A path names elements from the root down, "PublishResponse/PublishResult/MessageId"; a name
 * matches whatever its namespace. "*" matches any one element. Entities other than XML's own and
 * document type declarations are refused: no AWS answer has them, and they are how a small text
 * becomes a large one.
 */
#ifndef AWS_XML_H
#define AWS_XML_H

#include "base/buf.h"
#include "base/err.h"

enum { XML_MAX_DEPTH = 32 };

/*
 * Appends to `ret` the text of the first element at `path`, of the element itself without its
 * children's. 0: it is there (its text may be empty); NEVER: "not_found", it is not, or
 * "invalid_xml", which names line and column. < 0: no memory.
 */
int xml_text(const char *xml, size_t len, const char *path, struct buf *ret, struct err *err) must_check;

/*
 * The elements at `path` in document order, each as the texts of the children that `fields` names:
 * for "R/Failed/member" and { "Id", "Code" } row i's text of field f is xml_field(rows, i, f).
 * `fields` ends with NULL and is borrowed for the call. No such element: 0 rows. NEVER: "invalid_xml".
 */
struct xml_rows {
    struct buf texts;   /* one behind the other, each with its NUL */
    struct buf offsets; /* of n * n_fields texts, a size_t each; SIZE_MAX: the child was not there */
    size_t n, n_fields;
};
#define XML_ROWS_INIT     \
    {                     \
        .texts = BUF_INIT \
    }
int xml_rows(const char *xml, size_t len, const char *path, const char *const *fields, struct xml_rows *ret,
             struct err *err) must_check;
/* NULL: not there. Valid until xml_rows_clear. */
const char *xml_field(const struct xml_rows *rows, size_t row, size_t field);
/* Wipes the texts: an answer may hold keys. */
void xml_rows_clear(struct xml_rows *rows);
#define auto_xml_rows cleanup(xml_rows_clear)

#endif
