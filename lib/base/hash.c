#include "base/hash.h"

#include <limits.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>

enum { SHA256_BLOCK = 64 };

/* Fetched once. Otherwise OpenSSL 3 searches for an implementation at each use, which costs more than a short hash. */
static struct {
    EVP_MD *sha256, *sha1, *md5; /* NULL: not in this build */
} digests;                       /* written once, under pthread_once */

static void fetch_digests(void)
{
    digests.sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    digests.sha1 = EVP_MD_fetch(NULL, "SHA1", NULL);
    digests.md5 = EVP_MD_fetch(NULL, "MD5", NULL);
}

static void need_digests(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, fetch_digests);
}

static bool digest(const EVP_MD *type, const void *data, size_t len, unsigned char *ret)
{
    return type && EVP_Digest(data, len, ret, NULL, type, NULL) == 1;
}

bool hash_sha256(const void *data, size_t len, unsigned char ret[SHA256_SIZE])
{
    need_digests();
    return digest(digests.sha256, data, len, ret);
}

bool hash_sha1(const void *data, size_t len, unsigned char ret[SHA1_SIZE])
{
    need_digests();
    return digest(digests.sha1, data, len, ret);
}

bool hash_md5(const void *data, size_t len, unsigned char ret[MD5_SIZE])
{
    need_digests();
    return digest(digests.md5, data, len, ret);
}

/* The hash of a block followed by data. */
static bool hash_behind(EVP_MD_CTX *context, const unsigned char block[SHA256_BLOCK], const void *data, size_t len,
                        unsigned char ret[SHA256_SIZE])
{
    return EVP_DigestInit_ex2(context, digests.sha256, NULL) == 1 &&
           EVP_DigestUpdate(context, block, SHA256_BLOCK) == 1 && EVP_DigestUpdate(context, data, len) == 1 &&
           EVP_DigestFinal_ex(context, ret, NULL) == 1;
}

/* RFC 2104 on the fetched digest. OpenSSL's HMAC() searches for its parts on every call: ten times the work. */
bool hash_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len, unsigned char ret[SHA256_SIZE])
{
    unsigned char block[SHA256_BLOCK] = { 0 }, inner[SHA256_SIZE];
    need_digests();
    EVP_MD_CTX *context = digests.sha256 ? EVP_MD_CTX_new() : NULL;
    bool ok = context != NULL;
    if (key_len > SHA256_BLOCK)
        ok = ok && hash_sha256(key, key_len, block);
    else if (key_len > 0)
        memcpy(block, key, key_len);
    for (size_t i = 0; i < SHA256_BLOCK; i++)
        block[i] ^= 0x36;
    ok = ok && hash_behind(context, block, data, len, inner);
    for (size_t i = 0; i < SHA256_BLOCK; i++)
        block[i] ^= 0x36 ^ 0x5c;
    ok = ok && hash_behind(context, block, inner, sizeof(inner), ret);
    EVP_MD_CTX_free(context);
    explicit_bzero(block, sizeof(block));
    explicit_bzero(inner, sizeof(inner));
    return ok;
}

bool base64_decode(const char *text, struct buf *ret)
{
    size_t len = strlen(text);
    if (len % 4 != 0 || len > INT_MAX)
        return false;
    char *out = buf_reserve(ret, len / 4 * 3);
    if (!out)
        return false;
    int n = EVP_DecodeBlock((unsigned char *)out, (const unsigned char *)text, (int)len);
    if (n < 0)
        return false;
    size_t padding = len == 0 ? 0 : (size_t)(text[len - 1] == '=') + (size_t)(text[len - 2] == '=');
    ret->len += (size_t)n - padding;
    ret->data[ret->len] = '\0';
    return true;
}
