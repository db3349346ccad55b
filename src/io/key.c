/*
 * Keys: made, kept in a file, read again. The master (src/cmd/master.c) and the slave (src/slave/slave.c) open theirs
 * at start; transport_tls.c speaks with them.
 *
 * The file holds the private key alone (PKCS #8, PEM). TLS wants a certificate around the public key: one is made
 * afresh at every start, says nothing, and nobody looks at anything in it but the key.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "core/hash.h"
#include "core/memory.h"
#include "core/text.h"
#include "io/fs.h"
#include "key_private.h"

#define MAX_FILE_BYTES 4096
#define PRINT_PREFIX "SHA256:"
#define PRINT_DIGITS 43

/* ---- fingerprints -------------------------------------------------------------------------------- */

bool key_print_of(EVP_PKEY *pair, char print[KEY_PRINT_SIZE])
{
    uint8_t digest[SHA256_SIZE];
    unsigned char digits[SHA256_SIZE * 2], *info = NULL;
    int len = pair != NULL && EVP_PKEY_is_a(pair, "ED25519") ? i2d_PUBKEY(pair, &info) : -1;
    if (len < 0)
        return false;
    hash_bytes(info, (size_t)len, digest);
    OPENSSL_free(info);
    EVP_EncodeBlock(digits, digest, SHA256_SIZE);
    snprintf(print, KEY_PRINT_SIZE, PRINT_PREFIX "%.*s", PRINT_DIGITS, (const char *)digits); /* without its '=' */
    return true;
}

bool key_is_print(const char *text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    return text_starts(text, PRINT_PREFIX) && strlen(text) == KEY_PRINT_SIZE - 1 &&
           strspn(text + strlen(PRINT_PREFIX), digits) == PRINT_DIGITS;
}

/* ---- the file ------------------------------------------------------------------------------------ */

static int sync_parent(const char *path)
{
    char dir[PATH_MAX];
    const char *slash = strrchr(path, '/');
    int len = slash == NULL ? 1 : slash == path ? 1 : (int)(slash - path);
    snprintf(dir, sizeof dir, "%.*s", len, slash == NULL ? "." : path);
    return fs_sync_dir(dir);
}

static int make_parent(const char *path)
{
    char dir[PATH_MAX];
    const char *slash = strrchr(path, '/');
    if (slash == NULL || slash == path)
        return 0;
    snprintf(dir, sizeof dir, "%.*s", (int)(slash - path), path);
    return fs_make_dirs(dir, 0700);
}

static int write_pem(int fd, EVP_PKEY *pair)
{
    FILE *file = fdopen(fd, "w");
    if (file == NULL) {
        close(fd);
        return -errno;
    }
    bool good = PEM_write_PKCS8PrivateKey(file, pair, NULL, NULL, 0, NULL, NULL) == 1 && fflush(file) == 0 &&
                fsync(fd) == 0;
    int error = errno;
    if (fclose(file) != 0 && good)
        return -errno;
    return good ? 0 : error != 0 ? -error : -EIO;
}

/* Whole under a name of its own before it stands under `path`: of two that start at once, one key wins. */
static int store(const char *path, EVP_PKEY *pair)
{
    char temp[PATH_MAX];
    int len = snprintf(temp, sizeof temp, "%s.%ld.tmp", path, (long)getpid());
    if (len < 0 || (size_t)len >= sizeof temp)
        return -ENAMETOOLONG;
    int rc = make_parent(path);
    if (rc < 0)
        return rc;
    unlink(temp); /* of another life of this process number */
    int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    rc = write_pem(fd, pair);
    if (rc == 0 && link(temp, path) < 0)
        rc = -errno;
    unlink(temp);
    return rc < 0 ? rc : sync_parent(path);
}

static int no_password(char *to, int size, int for_writing, void *context)
{
    return -1;
}

/* Whether the open file is a key that only we can read. */
static int judge_file(int fd, const char *path, char *why, size_t size)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        snprintf(why, size, "the key %s is no file", path);
    else if (st.st_uid != geteuid())
        snprintf(why, size, "the key %s belongs to another user; run as that user, or name another file with --key", path);
    else if (st.st_mode & 077)
        snprintf(why, size, "the key %s may be read by others; protect it (chmod 600 %s), or, if somebody may have read it, "
                 "remove it: a new one is made at the next start", path, path);
    else if (st.st_size > MAX_FILE_BYTES)
        snprintf(why, size, "the key %s is too long to be one", path);
    else
        return 0;
    return -EPERM;
}

static int load(const char *path, EVP_PKEY **pair, char *why, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int rc = fd < 0 ? -errno : judge_file(fd, path, why, size);
    FILE *file = rc == 0 ? fdopen(fd, "r") : NULL;
    if (rc == 0 && file == NULL)
        rc = -errno;
    if (file == NULL) {
        if (fd >= 0)
            close(fd);
        return rc;
    }
    *pair = PEM_read_PrivateKey(file, NULL, no_password, NULL);
    fclose(file);
    if (*pair != NULL && EVP_PKEY_is_a(*pair, "ED25519"))
        return 0;
    EVP_PKEY_free(*pair);
    *pair = NULL;
    snprintf(why, size, "the key %s is no Ed25519 key in PEM; remove it and a new one is made at the next start", path);
    return -EBADMSG;
}

/* ---- the certificate ----------------------------------------------------------------------------- */

static void out_of_memory(void)
{
    fprintf(stderr, "piwheels: OpenSSL is out of memory\n");
    abort();
}

static X509 *certify(EVP_PKEY *pair)
{
    X509 *c = X509_new();
    X509_NAME *name = c != NULL ? X509_get_subject_name(c) : NULL;
    bool good = name != NULL && X509_set_version(c, X509_VERSION_3) &&
        ASN1_INTEGER_set(X509_get_serialNumber(c), 1) &&
        ASN1_TIME_set_string(X509_getm_notBefore(c), "19700101000000Z") &&
        ASN1_TIME_set_string(X509_getm_notAfter(c), "99991231235959Z") &&
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"piwheels", -1, -1, 0) &&
        X509_set_issuer_name(c, name) && X509_set_pubkey(c, pair) && X509_sign(c, pair, NULL) > 0;
    if (!good)
        out_of_memory();
    return c;
}

/* ------------------------------------------------------------------------------------------------ */

static int make(const char *path, EVP_PKEY **pair)
{
    *pair = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    if (*pair == NULL)
        out_of_memory();
    int rc = store(path, *pair);
    if (rc < 0)
        EVP_PKEY_free(*pair);
    return rc;
}

static int load_or_make(const char *path, EVP_PKEY **pair, bool *made, char *why, size_t size)
{
    int rc = load(path, pair, why, size);
    *made = false;
    if (rc != -ENOENT)
        return rc;
    rc = make(path, pair);
    *made = rc == 0;
    return rc == -EEXIST ? load(path, pair, why, size) : rc; /* another start was quicker */
}

int key_open(const char *path, struct key **key, bool *made, char *why, size_t why_size)
{
    EVP_PKEY *pair = NULL;
    why[0] = '\0';
    int rc = load_or_make(path, &pair, made, why, why_size);
    if (rc < 0) {
        if (why[0] == '\0')
            snprintf(why, why_size, "the key %s can be neither read nor made: %s; name another file with --key", path,
                     strerror(-rc));
        return rc;
    }
    struct key *k = mem_new(1, sizeof *k);
    X509 *certificate = certify(pair);
    k->context = tls_context_new(pair, certificate);
    key_print_of(pair, k->print);
    X509_free(certificate);
    EVP_PKEY_free(pair);
    *key = k;
    return 0;
}

void key_close(struct key *key)
{
    if (key == NULL)
        return;
    SSL_CTX_free(key->context);
    free(key);
}

const char *key_print(const struct key *key)
{
    return key->print;
}
