/*
 * json_tree: builds json_parse's tree from the tokens that json_scan has checked. Internal to lib/base.
 *
 * cJSON's own functions work on the nodes and free them. They differ from cJSON_Parse's in three ways:
 * - A number is a cJSON_Raw: its text, and the nearest double.
 * - A node's key and short value are stored behind it in one allocation, and marked so that cJSON does not free them.
 * - The array at `keep` is a cJSON_Array without children; its valuestring is its text.
 * A failed allocation is sticky.
 */
#ifndef BASE_JSON_TREE_H
#define BASE_JSON_TREE_H

#include "base/json.h"

/* A number, or the text between the quotes of a string. Borrowed. */
struct json_token {
    const char *text; /* NULL: none */
    size_t len;
    bool escaped; /* has an escape */
};

struct json_tree {
    cJSON *root;                   /* NULL: nothing yet */
    const struct json_place *keep; /* NULL: nothing */
    struct json_token kept;        /* the array at `keep` while it is open; otherwise its text is NULL */
    int kept_depth;                /* open containers in it, itself included */
    struct json_token key;         /* of the next value; its text is NULL in arrays */
    bool failed;
    int depth;
    cJSON *open[JSON_MAX_DEPTH + 1]; /* the open containers, from 1 to `depth` */
};

/* `keep` must outlive the tree. */
void json_tree_begin(struct json_tree *tree, const struct json_place *keep);
/* Frees the tree, unless the caller has taken `root`. */
void json_tree_clear(struct json_tree *tree);

/* The key's text must stay valid until the value is added. */
void json_tree_key(struct json_tree *tree, const struct json_token *key);
void json_tree_string(struct json_tree *tree, const struct json_token *string);
void json_tree_number(struct json_tree *tree, const struct json_token *number);
/* `first`: the first letter of true, false or null. */
void json_tree_literal(struct json_tree *tree, char first);
/* `text` points to the opening bracket. */
void json_tree_open(struct json_tree *tree, const char *text);
/* `end` points behind the closing bracket. */
void json_tree_close(struct json_tree *tree, const char *end);

#endif
