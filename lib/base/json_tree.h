/*
 * json_tree: builds the cJSON tree of json_parse from the tokens that json_scan has checked. Internal to lib/base.
 *
 * The nodes are as cJSON_Parse makes them (so that cJSON's own functions work on them and free them), but for three
 * things: numbers are cJSON_Raw with their text and their nearest double, a node's key and short value lie behind it in
 * one allocation, marked as cJSON marks what it must not free, and the array at `keep` is a cJSON_Array without
 * children whose valuestring is its text. A failed allocation is sticky.
 */
#ifndef BASE_JSON_TREE_H
#define BASE_JSON_TREE_H

#include "base/json.h"

/* What stands between the quotes of a string, or a number. Borrowed. */
struct json_token {
    const char *text; /* NULL: none */
    size_t len;
    bool escaped; /* it holds an escape */
};

struct json_tree {
    cJSON *root;                   /* NULL: nothing yet */
    const struct json_place *keep; /* NULL: nothing */
    struct json_token kept;        /* the array there, while it has not ended; else its text is NULL */
    int kept_depth;                /* of what is open in it */
    struct json_token key;         /* of the member whose value comes next */
    bool failed;
    int depth;
    cJSON *open[JSON_MAX_DEPTH + 1]; /* the containers that have not ended, by depth from 1; not set beyond */
};

/* `keep`: borrowed as long as the tree is. */
void json_tree_begin(struct json_tree *tree, const struct json_place *keep);
/* Frees what was built and not taken. */
void json_tree_clear(struct json_tree *tree);

/* The key's text stays until the value is there. */
void json_tree_key(struct json_tree *tree, const struct json_token *key);
void json_tree_string(struct json_tree *tree, const struct json_token *string);
void json_tree_number(struct json_tree *tree, const struct json_token *number);
/* `first`: of true, false or null. */
void json_tree_literal(struct json_tree *tree, char first);
/* `text`: at the bracket. */
void json_tree_open(struct json_tree *tree, const char *text);
/* `end`: behind the bracket. */
void json_tree_close(struct json_tree *tree, const char *end);

#endif
