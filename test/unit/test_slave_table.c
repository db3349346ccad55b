/* Every row of the slave's two tables (src/slave/table.h), refusals included. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/slave/table.h"

#define REFUSE DEED_REFUSE
#define IGNORE DEED_IGNORE
#define ATTEMPT DEED_ATTEMPT

static void check_session(enum verb verb, const enum deed expected[SESSION_STATE_COUNT])
{
    for (unsigned state = 0; state < SESSION_STATE_COUNT; state++)
        assert_int_equal(table_session((enum session_state)state, verb), expected[state]);
}

static void check_attempt(enum verb verb, const enum deed expected[ATTEMPT_STATE_COUNT])
{
    for (unsigned state = 0; state < ATTEMPT_STATE_COUNT; state++)
        assert_int_equal(table_attempt((enum attempt_state)state, verb), expected[state]);
}

/* In the order away, greeting, asking, sleeping, working, leaving. */
#define SESSION_ROW(...) ((const enum deed[SESSION_STATE_COUNT]){__VA_ARGS__})
/* In the order unknown, building, built, sending, ending. */
#define ATTEMPT_ROW(...) ((const enum deed[ATTEMPT_STATE_COUNT]){__VA_ARGS__})

static void ack_answers_hello_and_only_that(void **state)
{
    check_session(VERB_ACK, SESSION_ROW(REFUSE, DEED_WELCOME, REFUSE, REFUSE, REFUSE, IGNORE));
}

static void build_and_sleep_answer_idle_and_only_that(void **state)
{
    check_session(VERB_BUILD, SESSION_ROW(REFUSE, REFUSE, DEED_BUILD, REFUSE, REFUSE, IGNORE));
    check_session(VERB_SLEEP, SESSION_ROW(REFUSE, REFUSE, DEED_SLEEP, REFUSE, REFUSE, IGNORE));
}

static void wake_wakes_who_sleeps_and_may_cross_with_idle(void **state)
{
    check_session(VERB_WAKE, SESSION_ROW(REFUSE, REFUSE, IGNORE, DEED_ASK, IGNORE, IGNORE));
}

static void what_is_about_an_attempt_is_the_attempts_after_the_greeting(void **state)
{
    static const enum verb verbs[] = {VERB_CONT, VERB_SEND, VERB_DONE, VERB_STOP};
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        check_session(verbs[i], SESSION_ROW(REFUSE, REFUSE, ATTEMPT, ATTEMPT, ATTEMPT, IGNORE));
}

static void die_is_obeyed_at_any_time(void **state)
{
    check_session(VERB_DIE, SESSION_ROW(REFUSE, DEED_LEAVE, DEED_LEAVE, DEED_LEAVE, DEED_LEAVE, IGNORE));
}

static void error_is_heard_at_any_time(void **state)
{
    check_session(VERB_ERROR,
                  SESSION_ROW(REFUSE, DEED_GIVE_UP, DEED_GIVE_UP, DEED_GIVE_UP, DEED_GIVE_UP, IGNORE));
}

static void what_is_not_the_masters_to_say_is_refused_in_every_state(void **state)
{
    for (unsigned verb = 0; verb < VERB_COUNT; verb++) {
        if (message_sender((enum verb)verb) == FROM_MASTER && verb != VERB_DATA)
            continue;
        for (unsigned s = 0; s < SESSION_STATE_COUNT; s++)
            assert_int_equal(table_session((enum session_state)s, (enum verb)verb), REFUSE);
    }
}

static void cont_is_never_wrong(void **state)
{
    check_attempt(VERB_CONT, ATTEMPT_ROW(IGNORE, IGNORE, IGNORE, IGNORE, IGNORE));
}

static void send_is_for_what_is_built(void **state)
{
    check_attempt(VERB_SEND, ATTEMPT_ROW(REFUSE, REFUSE, DEED_SEND_FILE, REFUSE, REFUSE));
}

static void done_is_for_what_is_built_even_in_the_middle_of_a_file(void **state)
{
    check_attempt(VERB_DONE, ATTEMPT_ROW(REFUSE, REFUSE, DEED_FORGET, DEED_FORGET, REFUSE));
}

static void stop_ends_whatever_lives_and_may_come_too_late(void **state)
{
    check_attempt(VERB_STOP, ATTEMPT_ROW(IGNORE, DEED_FORGET, DEED_FORGET, DEED_FORGET, IGNORE));
}

static void every_state_has_a_name(void **state)
{
    for (unsigned s = 0; s < SESSION_STATE_COUNT; s++)
        assert_true(strlen(table_session_name((enum session_state)s)) > 0);
    for (unsigned s = 0; s < ATTEMPT_STATE_COUNT; s++)
        assert_true(strlen(table_attempt_name((enum attempt_state)s)) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ack_answers_hello_and_only_that),
        cmocka_unit_test(build_and_sleep_answer_idle_and_only_that),
        cmocka_unit_test(wake_wakes_who_sleeps_and_may_cross_with_idle),
        cmocka_unit_test(what_is_about_an_attempt_is_the_attempts_after_the_greeting),
        cmocka_unit_test(die_is_obeyed_at_any_time),
        cmocka_unit_test(error_is_heard_at_any_time),
        cmocka_unit_test(what_is_not_the_masters_to_say_is_refused_in_every_state),
        cmocka_unit_test(cont_is_never_wrong),
        cmocka_unit_test(send_is_for_what_is_built),
        cmocka_unit_test(done_is_for_what_is_built_even_in_the_middle_of_a_file),
        cmocka_unit_test(stop_ends_whatever_lives_and_may_come_too_late),
        cmocka_unit_test(every_state_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
