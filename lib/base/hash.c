#include "base/hash.h"

#include <limits.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

bool hash_sha256(const void *data, size_t len, unsigned char ret[SHA256_SIZE])
{
    return EVP_Digest(data, len, ret, NULL, EVP_sha256(), NULL) == 1;
}

bool hash_sha1(const void *data, size_t len, unsigned char ret[SHA1_SIZE])
{
    return EVP_Digest(data, len, ret, NULL, EVP_sha1(), NULL) == 1;
}

bool hash_md5(const void *data, size_t len, unsigned char ret[MD5_SIZE])
{
    return EVP_Digest(data, len, ret, NULL, EVP_md5(), NULL) == 1;
}

bool hash_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len, unsigned char ret[SHA256_SIZE])
{
    if (key_len > INT_MAX)
        return false;
    return HMAC(EVP_sha256(), key, (int)key_len, data, len, ret, NULL) != NULL;
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
