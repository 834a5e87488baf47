/* hash: the digests that AWS's protocols use, over OpenSSL. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/buf.h"

enum { SHA256_SIZE = 32, SHA1_SIZE = 20, MD5_SIZE = 16 };

/* All return false only if OpenSSL fails: no memory, or this build lacks the digest. */
bool hash_sha256(const void *data, size_t len, unsigned char ret[SHA256_SIZE]) must_check;
bool hash_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len, unsigned char ret[SHA256_SIZE])
    must_check;
/* Only for the names of `aws sso login`'s cache files; it protects nothing. */
bool hash_sha1(const void *data, size_t len, unsigned char ret[SHA1_SIZE]) must_check;
bool hash_md5(const void *data, size_t len, unsigned char ret[MD5_SIZE]) must_check;

/* Appends the bytes of standard base64: padded, without blanks. False: invalid, or no memory (buf_failed). */
bool base64_decode(const char *text, struct buf *ret) must_check;

#endif
