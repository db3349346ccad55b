/*
 * Files: what is replaced, published and removed is so entirely or not at all.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <zlib.h>

#include "../../src/io/fs_private.h"
#include "core/memory.h"

#define NOBODY 65534

/* Every test works in a fresh directory, which is its current one. */
static int enter_directory(void **state)
{
    char *dir = mem_text("/tmp/test-fs-XXXXXX");
    *state = dir;
    return mkdtemp(dir) != NULL && chmod(dir, 0777) == 0 ? chdir(dir) : -1;
}

static int leave_directory(void **state)
{
    int rc = chdir("/");
    rc |= fs_remove_tree(*state);
    rc |= access(*state, F_OK) == 0;
    free(*state);
    return rc;
}

static void put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void assert_holds(const char *path, const char *text)
{
    char *data;
    size_t len;
    assert_int_equal(fs_read(path, 1000, &data, &len), 0);
    assert_string_equal(data, text);
    assert_int_equal(len, strlen(text));
    free(data);
}

static bool exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

static unsigned entries(const char *path)
{
    unsigned count = 0;
    DIR *dir = opendir(path);
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count - 2;
}

static struct stat look(const char *path)
{
    struct stat st = {0};
    assert_int_equal(lstat(path, &st), 0);
    return st;
}

/* Root may do anything, so what depends on permissions runs as nobody: its result is the exit status. */
static int as_nobody(int (*run)(void))
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        if (geteuid() == 0 && setuid(NOBODY) < 0)
            _exit(100);
        _exit(run());
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* -- directories --------------------------------------------------------------------------------- */

static void directories_are_made_with_all_that_lead_to_them(void **state)
{
    assert_int_equal(fs_make_dirs("a/b/c", 0750), 0);
    assert_true(S_ISDIR(look("a/b/c").st_mode));
    assert_int_equal(look("a/b").st_mode & 0777, 0750);
}

static void making_a_directory_that_is_there_is_fine(void **state)
{
    assert_int_equal(fs_make_dirs("a", 0755), 0);
    assert_int_equal(fs_make_dirs("a", 0755), 0);
    assert_int_equal(fs_make_dirs("a/", 0755), 0);
    assert_int_equal(fs_make_dirs("/", 0755), 0);
}

static void a_file_in_the_way_of_a_directory_is_an_error(void **state)
{
    put("a", "");
    assert_int_equal(fs_make_dirs("a", 0755), -ENOTDIR);
    assert_int_equal(fs_make_dirs("a/b", 0755), -ENOTDIR);
}

/* -- removing ------------------------------------------------------------------------------------ */

static void a_tree_is_removed_whole(void **state)
{
    fs_make_dirs("tree/a/b", 0755);
    put("tree/a/b/file", "x");
    put("tree/.hidden", "x");
    assert_int_equal(mkfifo("tree/fifo", 0600), 0);
    assert_int_equal(fs_remove_tree("tree"), 0);
    assert_false(exists("tree"));
}

static void removing_what_is_absent_is_fine(void **state)
{
    assert_int_equal(fs_remove_tree("absent"), 0);
    assert_int_equal(fs_remove_tree("absent/child"), 0);
}

static void removing_a_file_removes_it(void **state)
{
    put("file", "x");
    assert_int_equal(fs_remove_tree("file"), 0);
    assert_false(exists("file"));
}

static void links_are_removed_and_never_followed(void **state)
{
    fs_make_dirs("keep", 0755);
    put("keep/file", "x");
    fs_make_dirs("tree", 0755);
    assert_int_equal(symlink("../keep", "tree/link"), 0);
    assert_int_equal(symlink("keep", "link"), 0);
    assert_int_equal(fs_remove_tree("tree"), 0);
    assert_int_equal(fs_remove_tree("link"), 0);
    assert_false(exists("tree"));
    assert_false(exists("link"));
    assert_holds("keep/file", "x");
}

static int remove_locked_tree(void)
{
    fs_make_dirs("locked/a/b", 0755);
    put("locked/a/b/file", "x");
    chmod("locked/a/b", 0);
    chmod("locked/a", 0500);
    chmod("locked", 0);
    return -fs_remove_tree("locked");
}

static void directories_left_unreadable_are_removed_too(void **state)
{
    assert_int_equal(as_nobody(remove_locked_tree), 0);
    assert_false(exists("locked"));
}

static void a_tree_deeper_than_any_path_is_removed(void **state)
{
    int at = open(".", O_RDONLY | O_DIRECTORY);
    mkdir("deep", 0755);
    for (unsigned depth = 0; depth < 3000; depth++) {
        const char *name = depth == 0 ? "deep" : "d";
        if (depth > 0)
            assert_int_equal(mkdirat(at, name, 0755), 0);
        int next = openat(at, name, O_RDONLY | O_DIRECTORY);
        assert_true(next >= 0);
        close(at);
        at = next;
    }
    close(at);
    assert_int_equal(fs_remove_tree("deep"), 0);
    assert_false(exists("deep"));
}

static int remove_what_is_not_mine(void)
{
    return -fs_remove_tree("/proc/self/status");
}

static void what_cannot_be_removed_is_an_error(void **state)
{
    assert_int_not_equal(as_nobody(remove_what_is_not_mine), 0);
}

/* -- replacing ----------------------------------------------------------------------------------- */

static void a_file_is_written_with_the_directories_on_the_way(void **state)
{
    umask(077);
    assert_int_equal(fs_replace("a/b/page", "hello", 5, false), 0);
    umask(022);
    assert_holds("a/b/page", "hello");
    assert_int_equal(look("a/b/page").st_mode & 07777, 0644);
    assert_int_equal(entries("a/b"), 1);
}

static void a_file_without_a_directory_in_its_path_is_written_here(void **state)
{
    assert_int_equal(fs_replace("page", "", 0, false), 0);
    assert_holds("page", "");
}

static int64_t mtime_ns(const char *path)
{
    struct stat st = look(path);
    return (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
}

static void a_replaced_file_is_a_whole_second_younger(void **state)
{
    assert_int_equal(fs_replace("page", "one", 3, false), 0);
    int64_t before = mtime_ns("page");
    assert_int_equal(fs_replace("page", "two", 3, false), 0);
    assert_true(mtime_ns("page") >= before + 1000000000);
    before = mtime_ns("page");
    assert_int_equal(fs_replace("page", "tri", 3, false), 0);
    assert_true(mtime_ns("page") >= before + 1000000000);
    assert_holds("page", "tri");
}

static void a_file_from_the_future_is_still_outdated(void **state)
{
    const struct timespec times[2] = {{4000000000, 0}, {4000000000, 999999999}};
    put("page", "old");
    assert_int_equal(utimensat(AT_FDCWD, "page", times, 0), 0);
    assert_int_equal(fs_replace("page", "new", 3, false), 0);
    assert_int_equal(look("page").st_mtim.tv_sec, 4000000001);
}

static void an_old_file_is_replaced_with_the_time_of_now(void **state)
{
    const struct timespec times[2] = {{1000, 0}, {1000, 0}};
    put("page", "old");
    assert_int_equal(utimensat(AT_FDCWD, "page", times, 0), 0);
    assert_int_equal(fs_replace("page", "new", 3, false), 0);
    assert_true(look("page").st_mtim.tv_sec > 1600000000);
}

static void the_same_bytes_are_left_alone_when_asked(void **state)
{
    assert_int_equal(fs_replace("page", "same", 4, false), 0);
    struct stat before = look("page");
    assert_int_equal(fs_replace("page", "same", 4, true), 0);
    assert_int_equal(look("page").st_ino, before.st_ino);
    assert_int_equal(fs_replace("page", "Same", 4, true), 0);
    assert_holds("page", "Same");
    assert_int_equal(fs_replace("page", "longer", 6, true), 0);
    assert_holds("page", "longer");
}

static void a_failed_replacement_leaves_the_old_file_and_no_other(void **state)
{
    fs_make_dirs("dir/page/full", 0755);
    assert_int_equal(fs_replace("dir/page", "x", 1, false), -EISDIR);
    assert_int_equal(entries("dir"), 1);
    put("file", "x");
    assert_int_equal(fs_replace("file/page", "x", 1, false), -ENOTDIR);
    assert_holds("file", "x");
}

static void a_name_of_full_length_can_be_replaced(void **state)
{
    char name[256];
    memset(name, 'n', 255);
    name[255] = '\0';
    assert_int_equal(fs_replace(name, "x", 1, false), 0);
    assert_holds(name, "x");
}

static void a_path_too_long_is_an_error(void **state)
{
    char *path = mem_new(5001, 1);
    memset(path, 'n', 5000);
    assert_int_equal(fs_replace(path, "x", 1, false), -ENAMETOOLONG);
    assert_int_equal(fs_make_dirs(path, 0755), -ENAMETOOLONG);
    free(path);
}

static void a_leftover_of_a_crash_is_overwritten(void **state)
{
    char temp[64];
    snprintf(temp, sizeof temp, ".page.%d.%d.0.tmp", (int)getpid(), (int)gettid());
    put(temp, "a long leftover of a crash");
    assert_int_equal(fs_replace("page", "new", 3, false), 0);
    assert_holds("page", "new");
    snprintf(temp, sizeof temp, ".link.%d.%d.0.tmp", (int)getpid(), (int)gettid());
    put(temp, "and another");
    assert_int_equal(fs_replace_link("link", "page"), 0);
    assert_int_equal(entries("."), 2);
}

/* -- gzip ---------------------------------------------------------------------------------------- */

static void a_compressed_file_opens_to_the_same_bytes(void **state)
{
    char text[10000], back[10001];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)('a' + i * i % 23);
    assert_int_equal(fs_replace_gzip("logs/1.txt.gz", text, sizeof text), 0);
    gzFile file = gzopen("logs/1.txt.gz", "rb");
    assert_int_equal(gzread(file, back, sizeof back), sizeof text);
    gzclose(file);
    assert_memory_equal(text, back, sizeof text);
}

static void an_empty_compressed_file_is_valid(void **state)
{
    char back[8];
    assert_int_equal(fs_replace_gzip("empty.gz", "", 0), 0);
    gzFile file = gzopen("empty.gz", "rb");
    assert_int_equal(gzdirect(file), 0);
    assert_int_equal(gzread(file, back, sizeof back), 0);
    gzclose(file);
}

static void a_compressed_file_tells_neither_name_nor_time(void **state)
{
    char *data;
    size_t len;
    assert_int_equal(fs_replace_gzip("x.gz", "hello", 5), 0);
    assert_int_equal(fs_read("x.gz", 1000, &data, &len), 0);
    assert_memory_equal(data, "\x1f\x8b\x08\0\0\0\0\0", 8); /* RFC 1952: no flags, no time */
    free(data);
}

/* -- links --------------------------------------------------------------------------------------- */

static void assert_leads_to(const char *path, const char *to)
{
    char target[100] = "";
    assert_true(readlink(path, target, sizeof target - 1) > 0);
    assert_string_equal(target, to);
}

static void a_link_is_made_and_turned_to_another(void **state)
{
    assert_int_equal(fs_replace_link("project/a", "b"), 0);
    assert_leads_to("project/a", "b");
    assert_int_equal(fs_replace_link("project/a", "b"), 0);
    assert_int_equal(fs_replace_link("project/a", "c"), 0);
    assert_leads_to("project/a", "c");
    assert_int_equal(entries("project"), 1);
}

static void a_link_to_a_directory_is_replaced_itself(void **state)
{
    fs_make_dirs("dir", 0755);
    assert_int_equal(fs_replace_link("link", "dir"), 0);
    assert_int_equal(fs_replace_link("link", "other"), 0);
    assert_leads_to("link", "other");
    assert_int_equal(entries("dir"), 0);
}

static void what_is_no_link_is_never_replaced_by_one(void **state)
{
    put("file", "x");
    fs_make_dirs("dir", 0755);
    assert_int_equal(fs_replace_link("file", "a"), -EEXIST);
    assert_int_equal(fs_replace_link("dir", "a"), -EEXIST);
    assert_holds("file", "x");
    assert_int_equal(entries("."), 2);
}

/* -- publishing ---------------------------------------------------------------------------------- */

static void a_published_file_is_the_same_file(void **state)
{
    fs_make_dirs("out", 0755);
    put("staged", "wheel");
    assert_int_equal(fs_publish("staged", "out/a.whl"), 0);
    assert_int_equal(look("staged").st_ino, look("out/a.whl").st_ino);
}

static void publishing_never_overwrites(void **state)
{
    put("staged", "new");
    put("a.whl", "old");
    assert_int_equal(fs_publish("staged", "a.whl"), -EEXIST);
    assert_holds("a.whl", "old");
    assert_int_equal(fs_publish("absent", "b.whl"), -ENOENT);
}

static void a_published_file_leaves_its_staging_unless_more_is_to_be_made_of_it(void **state)
{
    struct fs_batch b;
    int error = 0;
    put("staged", "wheel");
    fs_batch_init(&b);
    fs_batch_publish(&b, "staged", "a-armv7l.whl", true, &error);
    fs_batch_publish(&b, "staged", "a-armv6l.whl", false, &error);
    fs_batch_end(&b);
    assert_int_equal(error, 0);
    assert_int_equal(access("staged", F_OK), -1);
    assert_int_equal(look("a-armv6l.whl").st_ino, look("a-armv7l.whl").st_ino);
}

/* -- batches ------------------------------------------------------------------------------------- */

static void changes_made_together_stand_at_the_end_of_their_batch(void **state)
{
    struct fs_batch b;
    int logs = 0, wheel = 0;
    put("staged", "wheel");
    fs_batch_init(&b);
    fs_batch_replace(&b, "1/0001.txt", "one", 3, false, &logs);
    fs_batch_replace(&b, "2/0001.txt", "two", 3, false, &logs); /* the same name elsewhere */
    fs_batch_replace(&b, "3/a.whl.metadata", "metadata", 8, true, &wheel);
    fs_batch_publish(&b, "staged", "3/a.whl", false, &wheel);
    assert_int_equal(access("1/0001.txt", F_OK), -1);
    fs_batch_end(&b);
    assert_int_equal(logs, 0);
    assert_int_equal(wheel, 0);
    assert_holds("1/0001.txt", "one");
    assert_holds("2/0001.txt", "two");
    assert_holds("3/a.whl.metadata", "metadata");
    assert_holds("3/a.whl", "wheel");
    assert_int_equal(entries("1"), 1);
}

static void a_change_that_fails_spoils_only_those_of_its_owner(void **state)
{
    struct fs_batch b;
    int mine = 0, yours = 0;
    put("staged", "wheel");
    fs_make_dirs("out/a.whl.metadata", 0755); /* in the way */
    fs_batch_init(&b);
    fs_batch_replace(&b, "out/a.whl.metadata", "x", 1, false, &mine);
    fs_batch_publish(&b, "staged", "out/a.whl", false, &mine);
    fs_batch_replace(&b, "out/other", "y", 1, false, &yours);
    fs_batch_end(&b);
    assert_int_equal(mine, -EISDIR);
    assert_int_equal(yours, 0);
    assert_holds("out/other", "y");
    assert_int_equal(access("out/a.whl", F_OK), -1);
    assert_int_equal(entries("out"), 2);
}

static void a_batch_takes_more_than_it_holds_and_many_directories(void **state)
{
    enum { DIRECTORIES = 7 };
    struct fs_batch b;
    char path[32];
    int error = 0, made = 0;
    fs_batch_init(&b);
    for (unsigned i = 0; i < FS_BATCH_MAX + 3; i++) {
        snprintf(path, sizeof path, "many%u/%u", i % DIRECTORIES, i);
        fs_batch_gzip(&b, path, "text", 4, &error);
    }
    fs_batch_end(&b);
    assert_int_equal(error, 0);
    for (unsigned i = 0; i < DIRECTORIES; i++) {
        snprintf(path, sizeof path, "many%u", i);
        made += entries(path);
    }
    assert_int_equal(made, FS_BATCH_MAX + 3);
}

static void a_directory_can_be_synced(void **state)
{
    put("file", "");
    assert_int_equal(fs_sync_dir("."), 0);
    assert_int_equal(fs_sync_dir("absent"), -ENOENT);
    assert_int_equal(fs_sync_dir("file"), -ENOTDIR);
}

/* -- reading ------------------------------------------------------------------------------------- */

static void a_file_is_read_up_to_its_limit(void **state)
{
    char *data = NULL;
    size_t len;
    put("file", "12345");
    assert_int_equal(fs_read("file", 5, &data, &len), 0);
    assert_int_equal(len, 5);
    assert_string_equal(data, "12345");
    free(data);
    assert_int_equal(fs_read("file", 4, &data, &len), -EFBIG);
}

static void a_file_without_a_size_is_read_to_its_end(void **state)
{
    char *data;
    size_t len;
    assert_int_equal(fs_read("/proc/self/status", 100000, &data, &len), 0);
    assert_true(len > 100);
    assert_int_equal(data[len], '\0');
    free(data);
}

static void what_cannot_be_read_is_an_error(void **state)
{
    char *data;
    size_t len;
    assert_int_equal(fs_read("absent", 5, &data, &len), -ENOENT);
    assert_int_equal(fs_read(".", 5, &data, &len), -EISDIR);
}

/* -- places -------------------------------------------------------------------------------------- */

static void free_space_is_told(void **state)
{
    uint64_t bytes = 0, inodes = 0;
    assert_int_equal(fs_free(".", &bytes, &inodes), 0);
    assert_true(bytes > 0 && inodes > 0);
    assert_int_equal(fs_free("absent", &bytes, &inodes), -ENOENT);
}

static void make_socket(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    close(fd);
}

static const char *const dirs[] = {"run/none/piwheels", "session/piwheels", "home/piwheels", NULL};

static void a_server_takes_the_first_directory_that_can_be_made(void **state)
{
    char path[100];
    put("run", "in the way");
    assert_int_equal(fs_control_socket_among(dirs, path, sizeof path, true), 0);
    assert_string_equal(path, "session/piwheels/control.sock");
    assert_true(S_ISDIR(look("session/piwheels").st_mode));
}

static void what_a_server_makes_in_a_users_own_directory_is_closed_to_others(void **state)
{
    char path[100];
    put("run", "in the way");
    assert_int_equal(fs_control_socket_among(dirs, path, sizeof path, true), 0);
    assert_int_equal(look("session/piwheels").st_mode & 07777, 0700);
    fs_remove("run");
    assert_int_equal(fs_control_socket_among(dirs, path, sizeof path, true), 0);
    assert_int_equal(look("run/none/piwheels").st_mode & 07777, 0755);
}

static int server_choice_where_the_first_is_not_mine(void)
{
    char path[100];
    int rc = fs_control_socket_among(dirs, path, sizeof path, true);
    return rc == 0 && strcmp(path, "session/piwheels/control.sock") == 0 ? 0 : 1;
}

static void a_server_passes_over_what_it_may_not_write(void **state)
{
    fs_make_dirs("run/none/piwheels", 0755);
    chmod("run/none/piwheels", 0555);
    chmod("run/none", 0555);
    assert_int_equal(as_nobody(server_choice_where_the_first_is_not_mine), 0);
}

static void a_client_takes_the_first_socket_that_is_there(void **state)
{
    char path[100];
    fs_make_dirs("run/none/piwheels", 0755);
    fs_make_dirs("home/piwheels", 0755);
    put("run/none/piwheels/control.sock", "no socket");
    make_socket("home/piwheels/control.sock");
    assert_int_equal(fs_control_socket_among(dirs, path, sizeof path, false), 0);
    assert_string_equal(path, "home/piwheels/control.sock");
}

static void a_client_without_a_socket_is_told_where_it_would_be(void **state)
{
    char path[100];
    put("run", "in the way");
    assert_int_equal(fs_control_socket_among(dirs, path, sizeof path, false), -ENOENT);
    assert_string_equal(path, "session/piwheels/control.sock");
    assert_false(exists("session"));
}

static void nowhere_to_go_is_an_error(void **state)
{
    char path[100], small[8];
    put("run", "");
    put("session", "");
    put("home", "");
    assert_int_equal(fs_control_socket_among(dirs, path, sizeof path, true), -EACCES);
    assert_int_equal(fs_control_socket_among(dirs, small, sizeof small, true), -ENAMETOOLONG);
}

static void a_client_searches_the_session_and_the_home(void **state)
{
    char path[200], dir[100], expected[200];
    if (access("/run/piwheels/control.sock", F_OK) == 0)
        skip();
    snprintf(dir, sizeof dir, "%s/home", (const char *)*state);
    setenv("HOME", dir, 1);
    unsetenv("XDG_RUNTIME_DIR");
    fs_make_dirs("home/.local/state/piwheels", 0700);
    make_socket("home/.local/state/piwheels/control.sock");
    snprintf(expected, sizeof expected, "%s/.local/state/piwheels/control.sock", dir);
    assert_int_equal(fs_control_socket(path, sizeof path, false), 0);
    assert_string_equal(path, expected);

    fs_make_dirs("session/piwheels", 0700);
    make_socket("session/piwheels/control.sock");
    snprintf(dir, sizeof dir, "%s/session", (const char *)*state);
    setenv("XDG_RUNTIME_DIR", dir, 1);
    snprintf(expected, sizeof expected, "%s/piwheels/control.sock", dir);
    assert_int_equal(fs_control_socket(path, sizeof path, false), 0);
    assert_string_equal(path, expected);
}

/* ---- moving, removing ---- */

static void a_file_is_moved_into_a_directory_that_is_made_for_it(void **state)
{
    put("a", "bytes");
    assert_int_equal(fs_move("a", "out/deep/b"), 0);
    assert_holds("out/deep/b", "bytes");
    assert_false(exists("a"));
}

static void what_was_moved_before_is_moved(void **state)
{
    put("b", "bytes");
    assert_int_equal(fs_move("a", "b"), 0);
    assert_holds("b", "bytes");
    assert_int_equal(fs_move("gone/a", "b"), 0);
}

static void what_is_nowhere_cannot_be_moved(void **state)
{
    assert_int_equal(fs_move("a", "out/b"), -ENOENT);
    assert_int_equal(fs_move("gone/a", "out/b"), -ENOENT);
}

static void moving_takes_the_place_of_what_is_there(void **state)
{
    put("a", "new");
    put("b", "old");
    assert_int_equal(fs_move("a", "b"), 0);
    assert_holds("b", "new");
}

static void renaming_makes_a_directory_again_that_has_just_been_removed(void **state)
{
    put("a", "bytes");
    assert_int_equal(fs_rename("a", "out/b"), 0);
    assert_holds("out/b", "bytes");
}

static void a_file_that_is_absent_is_removed(void **state)
{
    put("a", "bytes");
    assert_int_equal(fs_remove("a"), 0);
    assert_false(exists("a"));
    assert_int_equal(fs_remove("a"), 0);
    assert_int_equal(fs_remove("gone/a"), 0);
    assert_int_equal(fs_make_dirs("dir/inner", 0755), 0);
    assert_true(fs_remove("dir") < 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, enter_directory, leave_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_file_is_moved_into_a_directory_that_is_made_for_it),
        TEST(what_was_moved_before_is_moved),
        TEST(what_is_nowhere_cannot_be_moved),
        TEST(moving_takes_the_place_of_what_is_there),
        TEST(renaming_makes_a_directory_again_that_has_just_been_removed),
        TEST(a_file_that_is_absent_is_removed),
        TEST(directories_are_made_with_all_that_lead_to_them),
        TEST(making_a_directory_that_is_there_is_fine),
        TEST(a_file_in_the_way_of_a_directory_is_an_error),
        TEST(a_tree_is_removed_whole),
        TEST(removing_what_is_absent_is_fine),
        TEST(removing_a_file_removes_it),
        TEST(links_are_removed_and_never_followed),
        TEST(directories_left_unreadable_are_removed_too),
        TEST(a_tree_deeper_than_any_path_is_removed),
        TEST(what_cannot_be_removed_is_an_error),
        TEST(a_file_is_written_with_the_directories_on_the_way),
        TEST(a_file_without_a_directory_in_its_path_is_written_here),
        TEST(a_replaced_file_is_a_whole_second_younger),
        TEST(a_file_from_the_future_is_still_outdated),
        TEST(an_old_file_is_replaced_with_the_time_of_now),
        TEST(the_same_bytes_are_left_alone_when_asked),
        TEST(a_failed_replacement_leaves_the_old_file_and_no_other),
        TEST(a_name_of_full_length_can_be_replaced),
        TEST(a_path_too_long_is_an_error),
        TEST(a_leftover_of_a_crash_is_overwritten),
        TEST(a_compressed_file_opens_to_the_same_bytes),
        TEST(an_empty_compressed_file_is_valid),
        TEST(a_compressed_file_tells_neither_name_nor_time),
        TEST(a_link_is_made_and_turned_to_another),
        TEST(a_link_to_a_directory_is_replaced_itself),
        TEST(what_is_no_link_is_never_replaced_by_one),
        TEST(a_published_file_is_the_same_file),
        TEST(publishing_never_overwrites),
        TEST(a_published_file_leaves_its_staging_unless_more_is_to_be_made_of_it),
        TEST(changes_made_together_stand_at_the_end_of_their_batch),
        TEST(a_change_that_fails_spoils_only_those_of_its_owner),
        TEST(a_batch_takes_more_than_it_holds_and_many_directories),
        TEST(a_directory_can_be_synced),
        TEST(a_file_is_read_up_to_its_limit),
        TEST(a_file_without_a_size_is_read_to_its_end),
        TEST(what_cannot_be_read_is_an_error),
        TEST(free_space_is_told),
        TEST(a_server_takes_the_first_directory_that_can_be_made),
        TEST(what_a_server_makes_in_a_users_own_directory_is_closed_to_others),
        TEST(a_server_passes_over_what_it_may_not_write),
        TEST(a_client_takes_the_first_socket_that_is_there),
        TEST(a_client_without_a_socket_is_told_where_it_would_be),
        TEST(nowhere_to_go_is_an_error),
        TEST(a_client_searches_the_session_and_the_home),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
