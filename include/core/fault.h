/*
 * Faults on purpose, for tests: named points of the program at which it can be killed, stopped, made slow or
 * told that an operation failed. Compiled in only with -Dc_args=-DPIW_FAULTS; otherwise FAULT is the constant 0.
 *
 * The environment names one point, its Nth pass (default: the first; with '+' that one and all later ones) and
 * what shall happen there:
 *
 *     PIW_TEST_FAULT="POINT[#N[+]]=kill | stop | abort | hold | fail:ERRNO"
 *
 * kill is SIGKILL, stop is SIGSTOP (the test looks around and sends SIGCONT), hold holds up the thread until
 * the test opens the FIFO that PIW_TEST_GATE names for writing, fail makes FAULT return -ERRNO. The points are
 *
 *     before TASK/STEP, after TASK/STEP      every step of every task (core/task.c)
 *     lane NAME                              a work begins on a pool thread (core/lane.c)
 *     fs_…, stream_write                     files, also between writing and renaming (io/fs.c, files/stream.c)
 *     pg_query …, pg_sent …, pg_answered …   statements, named by the first thing of our schema in them:
 *                                            "pg_sent build_publish" (io/pg_*.c)
 *     http_get, child_run, wire_connect      (io)
 *     wire_send VERB                         a message is sent; fail drops the connection (io/wire.c)
 */
#ifndef CORE_FAULT_H
#define CORE_FAULT_H

#ifdef PIW_FAULTS
/* A point is passed: 0, or -errno when the operation shall fail. From any thread. */
int fault_pass(const char *format, ...) __attribute__((format(printf, 1, 2)));
int fault_pass_statement(const char *moment, const char *sql);
#define FAULT(...) fault_pass(__VA_ARGS__)
#define FAULT_STATEMENT(moment, sql) fault_pass_statement(moment, sql)
#else
#define FAULT(...) 0
#define FAULT_STATEMENT(moment, sql) 0
#endif

#endif
