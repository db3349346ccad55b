/*
 * Keys: made once, kept for their owner alone, and the same for everybody after that.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "core/memory.h"
#include "io/fs.h"
#include "io/key.h"

struct place {
    char dir[64], path[96], why[512];
    struct key *key;
    bool made;
};

static int setup(void **state)
{
    struct place *p = mem_new(1, sizeof *p);
    strcpy(p->dir, "/tmp/test-key-XXXXXX");
    *state = p;
    if (mkdtemp(p->dir) == NULL)
        return -1;
    snprintf(p->path, sizeof p->path, "%s/state/slave.key", p->dir);
    return 0;
}

static int teardown(void **state)
{
    struct place *p = *state;
    key_close(p->key);
    int rc = fs_remove_tree(p->dir);
    free(p);
    return rc;
}

static int open_key(struct place *p)
{
    key_close(p->key);
    p->key = NULL;
    return key_open(p->path, &p->key, &p->made, p->why, sizeof p->why);
}

static void a_key_is_made_once_for_its_owner_alone(void **state)
{
    struct place *p = *state;
    char print[KEY_PRINT_SIZE];
    struct stat st;
    mode_t before = umask(0);
    assert_int_equal(open_key(p), 0);
    umask(before);
    assert_true(p->made);
    assert_true(key_is_print(key_print(p->key)));
    assert_int_equal(stat(p->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(st.st_nlink, 1); /* nothing is left of its making */
    snprintf(print, sizeof print, "%s", key_print(p->key));
    assert_int_equal(open_key(p), 0);
    assert_false(p->made);
    assert_string_equal(key_print(p->key), print);
}

static void of_those_who_start_at_once_one_makes_the_key_of_all(void **state)
{
    struct place *p = *state;
    int ends[2];
    char prints[8][KEY_PRINT_SIZE];
    assert_int_equal(pipe(ends), 0);
    for (unsigned i = 0; i < 8; i++) {
        if (fork() == 0) {
            int rc = key_open(p->path, &p->key, &p->made, p->why, sizeof p->why);
            _exit(rc < 0 || write(ends[1], key_print(p->key), KEY_PRINT_SIZE) != KEY_PRINT_SIZE);
        }
    }
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(read(ends[0], prints[i], KEY_PRINT_SIZE), KEY_PRINT_SIZE);
    for (unsigned i = 0; i < 8; i++) {
        int status;
        wait(&status);
        assert_int_equal(status, 0);
        assert_string_equal(prints[i], prints[0]);
    }
    close(ends[0]);
    close(ends[1]);
}

static void a_key_that_others_may_read_is_refused_and_told_how_to_mend(void **state)
{
    struct place *p = *state;
    static const mode_t modes[] = {0640, 0604, 0620, 0666, 0610};
    assert_int_equal(open_key(p), 0);
    for (unsigned i = 0; i < COUNT_OF(modes); i++) {
        assert_int_equal(chmod(p->path, modes[i]), 0);
        assert_int_equal(open_key(p), -EPERM);
        assert_non_null(strstr(p->why, "may be read by others; protect it (chmod 600 "));
    }
    assert_int_equal(chmod(p->path, 0400), 0);
    assert_int_equal(open_key(p), 0);
}

static void write_file(const struct place *p, const char *text)
{
    char dir[80];
    snprintf(dir, sizeof dir, "%s/state", p->dir);
    mkdir(dir, 0700);
    FILE *file = fopen(p->path, "w");
    fputs(text, file);
    fclose(file);
    chmod(p->path, 0600);
}

static void what_is_no_key_is_refused_and_left_alone(void **state)
{
    struct place *p = *state;
    static const char *const wrong[] = {"", "nonsense", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"};
    for (unsigned i = 0; i < COUNT_OF(wrong); i++) {
        char *data;
        size_t len;
        write_file(p, wrong[i]);
        assert_int_equal(open_key(p), -EBADMSG);
        assert_non_null(strstr(p->why, "is no Ed25519 key in PEM"));
        assert_int_equal(fs_read(p->path, 1000, &data, &len), 0);
        assert_string_equal(data, wrong[i]);
        free(data);
    }
}

static void a_key_of_another_kind_is_refused(void **state)
{
    struct place *p = *state;
    write_file(p, "");
    EVP_PKEY *pair = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    FILE *file = fopen(p->path, "w");
    assert_int_equal(PEM_write_PKCS8PrivateKey(file, pair, NULL, NULL, 0, NULL, NULL), 1);
    fclose(file);
    EVP_PKEY_free(pair);
    assert_int_equal(open_key(p), -EBADMSG);
}

static void a_key_behind_a_password_asks_nobody(void **state)
{
    struct place *p = *state;
    write_file(p, "");
    EVP_PKEY *pair = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    FILE *file = fopen(p->path, "w");
    assert_int_equal(PEM_write_PKCS8PrivateKey(file, pair, EVP_aes_256_cbc(), "secret", 6, NULL, NULL), 1);
    fclose(file);
    EVP_PKEY_free(pair);
    assert_int_equal(open_key(p), -EBADMSG);
}

static void a_directory_is_no_key(void **state)
{
    struct place *p = *state;
    strcpy(p->path, p->dir);
    assert_int_equal(open_key(p), -EPERM);
    assert_non_null(strstr(p->why, "is no file"));
}

static void a_place_where_no_key_can_be_made_is_named(void **state)
{
    struct place *p = *state;
    strcpy(p->path, "/proc/nowhere/slave.key");
    assert_true(open_key(p) < 0);
    assert_non_null(strstr(p->why, "/proc/nowhere/slave.key can be neither read nor made: "));
    assert_non_null(strstr(p->why, "--key"));
}

static void a_fingerprint_is_told_by_its_looks(void **state)
{
    assert_true(key_is_print("SHA256:0123456789012345678901234567890123456789+/A"));
    assert_false(key_is_print("SHA256:0123456789012345678901234567890123456789+/"));
    assert_false(key_is_print("SHA256:0123456789012345678901234567890123456789+/A="));
    assert_false(key_is_print("SHA256:0123456789012345678901234567890123456789+/ "));
    assert_false(key_is_print("MD5:0123456789012345678901234567890123456789+/A123"));
    assert_false(key_is_print(""));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_key_is_made_once_for_its_owner_alone),
        TEST(of_those_who_start_at_once_one_makes_the_key_of_all),
        TEST(a_key_that_others_may_read_is_refused_and_told_how_to_mend),
        TEST(what_is_no_key_is_refused_and_left_alone),
        TEST(a_key_of_another_kind_is_refused),
        TEST(a_key_behind_a_password_asks_nobody),
        TEST(a_directory_is_no_key),
        TEST(a_place_where_no_key_can_be_made_is_named),
        TEST(a_fingerprint_is_told_by_its_looks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
