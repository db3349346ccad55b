/* What the monitor knows and what its keys do: rounds in parts, the selection, histories, the menu. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/memory.h"
#include "../../src/monitor/menu.h"
#include "../../src/monitor/model.h"

#define HEAD "\"version\":\"0.1.0\",\"trouble\":\"\",\"master\":{\"paused\":false,\"up_ms\":5000,\"lag_us\":400," \
    "\"load_milli\":250},\"builds_hour\":{\"success\":3,\"failed\":2,\"farm\":1}," \
    "\"database\":{\"fast\":{\"last_ms\":7}},\"targets\":[{\"name\":\"native\",\"queued\":4,\"building\":1,\"parked\":2}]"
#define SLAVE(number, label, state) "{\"slave\":" number ",\"label\":\"" label "\",\"state\":\"" state "\"," \
    "\"targets\":[\"native\",\"other\"],\"connected_ms\":61000,\"free_ms\":2000,\"builds\":[],\"load_milli\":1500," \
    "\"memory_bytes\":4000,\"memory_free_bytes\":1000,\"temperature_milli\":45000}"
#define ROUND(slaves) "{" HEAD ",\"slaves\":[" slaves "],\"more\":false}"

static int open_model(void **state)
{
    struct model *m = mem_new(1, sizeof *m);
    model_init(m);
    *state = m;
    return 0;
}

static int close_model(void **state)
{
    model_release(*state);
    free(*state);
    return 0;
}

/* ---- rounds ---- */

static void a_round_of_one_part_is_known_at_once(void **state)
{
    struct model *m = *state;
    assert_true(model_feed(m, ROUND(SLAVE("7", "pi4-a", "sleeping"))));
    assert_true(m->connected);
    assert_string_equal(m->version, "0.1.0");
    assert_int_equal(m->good, 3);
    assert_int_equal(m->targets[0].queued, 4);
    assert_int_equal(m->slave_count, 1);
    assert_string_equal(m->slaves[0].targets, "native,other");
    assert_string_equal(m->slaves[0].task, "waits for work");
    assert_int_equal(m->slaves[0].task_ms, 2000);
    assert_int_equal(m->slaves[0].machine.memory_used_bytes, 3000);
    assert_int_equal(model_master_state(m), STATE_RUNNING);
}

static void a_round_of_several_parts_is_known_when_the_last_has_come(void **state)
{
    struct model *m = *state;
    assert_false(model_feed(m, "{" HEAD ",\"slaves\":[" SLAVE("2", "b", "idle") "],\"more\":true}"));
    assert_int_equal(m->slave_count, 0);
    assert_true(model_feed(m, "{\"slaves\":[" SLAVE("1", "a", "idle") "],\"more\":false}"));
    assert_int_equal(m->slave_count, 2);
    assert_string_equal(m->slaves[0].label, "a");
}

static void half_a_round_is_forgotten_with_its_connection(void **state)
{
    struct model *m = *state;
    model_feed(m, "{" HEAD ",\"slaves\":[" SLAVE("2", "b", "idle") "],\"more\":true}");
    model_lose(m, "gone");
    assert_true(model_feed(m, ROUND(SLAVE("1", "a", "idle"))));
    assert_int_equal(m->slave_count, 1);
}

static void what_is_no_json_changes_nothing(void **state)
{
    struct model *m = *state;
    model_feed(m, ROUND(SLAVE("1", "a", "idle")));
    assert_false(model_feed(m, "{"));
    assert_int_equal(m->slave_count, 1);
}

static void what_was_known_is_kept_when_the_connection_is_lost(void **state)
{
    struct model *m = *state;
    model_feed(m, ROUND(SLAVE("1", "a", "idle")));
    model_lose(m, "closed by peer");
    assert_int_equal(model_master_state(m), STATE_LOST);
    assert_string_equal(m->trouble, "closed by peer");
    assert_int_equal(m->slave_count, 1);
    model_feed(m, ROUND(SLAVE("1", "a", "idle")));
    assert_string_equal(m->trouble, "");
}

static void slaves_are_in_the_order_of_their_labels(void **state)
{
    struct model *m = *state;
    model_feed(m, ROUND(SLAVE("3", "c", "idle") "," SLAVE("1", "b", "idle") "," SLAVE("2", "a", "idle")));
    assert_int_equal(m->slaves[0].number, 2);
    assert_int_equal(m->slaves[1].number, 1);
    assert_int_equal(m->slaves[2].number, 3);
}

static void a_slave_that_leaves_while_it_is_back_is_shown_once(void **state)
{
    struct model *m = *state;
    model_feed(m, ROUND(SLAVE("1", "a", "idle") "," SLAVE("1", "a", "leaving") "," SLAVE("0", "", "connecting")));
    assert_int_equal(m->slave_count, 1);
    assert_int_equal(m->slaves[0].state, STATE_IDLE);
}

static void the_longest_build_stands_for_all(void **state)
{
    struct model *m = *state;
    model_feed(m, ROUND("{\"slave\":1,\"label\":\"a\",\"state\":\"building\",\"build_count\":2,\"builds\":["
        "{\"package\":\"short\",\"version\":\"1\",\"state\":\"building\",\"for_ms\":10},"
        "{\"package\":\"long\",\"version\":\"2.0\",\"state\":\"receiving\",\"for_ms\":99}]}"));
    assert_string_equal(m->slaves[0].task, "long 2.0 +1 (receiving)");
    assert_int_equal(m->slaves[0].task_ms, 99);
    assert_int_equal(model_building(m), 1);
}

static void a_slave_that_is_short_of_room_or_fails_everything_says_so(void **state)
{
    struct model *m = *state;
    model_feed(m, ROUND("{\"slave\":1,\"label\":\"a\",\"state\":\"low\",\"jobs\":4,\"build_count\":0,\"builds\":[],"
        "\"shortage\":\"3 MB of disk are free\",\"warning\":\"its last 20 builds have all failed\"}"));
    assert_int_equal(m->slaves[0].state, STATE_LOW);
    assert_string_equal(m->slaves[0].task, "is short of room");
    assert_string_equal(m->slaves[0].shortage, "3 MB of disk are free");
    assert_string_equal(m->slaves[0].warning, "its last 20 builds have all failed");
    assert_int_equal(m->slaves[0].jobs, 4);
    assert_int_equal(model_building(m), 0);
}

static void control_characters_do_not_reach_the_terminal(void **state)
{
    struct model *m = *state;
    model_feed(m, ROUND("{\"slave\":1,\"label\":\"a\",\"state\":\"odd\",\"system\":\"\\u001b[2JDebian\\n\\u009b12\"}"));
    assert_null(strpbrk(m->slaves[0].system, "\033\n"));
    assert_null(strstr(m->slaves[0].system, "\302\233"));
    assert_non_null(strstr(m->slaves[0].system, "Debian"));
    assert_int_equal(m->slaves[0].state, STATE_UNKNOWN);
}

/* ---- the selection ---- */

static void the_selection_follows_its_slave(void **state)
{
    struct model *m = *state;
    model_feed(m, ROUND(SLAVE("5", "m", "idle")));
    model_move(m, 1);
    model_feed(m, ROUND(SLAVE("5", "m", "idle") "," SLAVE("6", "a", "idle")));
    assert_int_equal(model_selected(m)->number, 5);
    assert_int_equal(m->selected_at, 2);
}

static void the_selection_stays_in_its_row_when_its_slave_goes(void **state)
{
    struct model *m = *state;
    model_feed(m, ROUND(SLAVE("1", "a", "idle") "," SLAVE("2", "b", "idle") "," SLAVE("3", "c", "idle")));
    model_move(m, 2);
    model_feed(m, ROUND(SLAVE("1", "a", "idle") "," SLAVE("3", "c", "idle")));
    assert_int_equal(model_selected(m)->number, 3);
    model_feed(m, ROUND(""));
    assert_null(model_selected(m));
}

static void the_selection_stops_at_both_ends(void **state)
{
    struct model *m = *state;
    model_feed(m, ROUND(SLAVE("1", "a", "idle")));
    model_move(m, 100);
    assert_int_equal(m->selected_at, 1);
    model_move(m, -100);
    assert_int_equal(m->selected_at, 0);
}

/* ---- figures ---- */

static void histories_go_on_from_round_to_round(void **state)
{
    struct model *m = *state;
    for (int i = 0; i < 3; i++)
        model_feed(m, ROUND(SLAVE("1", "a", "idle")));
    assert_int_equal(m->slaves[0].machine.loads.count, 3);
    assert_int_equal(m->targets[0].queue.count, 3);
    assert_int_equal(m->databases.count, 3);
}

static void a_graph_shows_the_latest_samples_at_the_right(void **state)
{
    struct history h = {.count = 0};
    char text[GRAPH_SIZE];
    for (int i = 0; i <= 8; i++)
        history_add(&h, i);
    assert_string_equal(history_graph(&h, 8, 4, false, text), "▆▇██");
    assert_string_equal(history_graph(&h, 8, 4, true, text), "+*##");
    assert_string_equal(history_graph(&h, 16, 12, true, text), "   __..::--=");
}

static void a_graph_without_a_top_has_its_highest_sample_for_one(void **state)
{
    struct history h = {.count = 0};
    char text[GRAPH_SIZE];
    history_add(&h, 0.5);
    history_add(&h, 0.25);
    assert_string_equal(history_graph(&h, 0, 2, true, text), "#=");
}

static void a_graph_keeps_a_minute(void **state)
{
    struct history h = {.count = 0};
    char text[GRAPH_SIZE];
    for (int i = 0; i < 200; i++)
        history_add(&h, i < 140 ? 9 : 0);
    assert_int_equal(h.count, HISTORY_SAMPLES);
    assert_null(strchr(history_graph(&h, 9, HISTORY_SAMPLES, true, text), '#'));
}

static void spans_are_short(void **state)
{
    char text[SPAN_SIZE];
    assert_string_equal(model_span(48000, text), "48s");
    assert_string_equal(model_span(200000, text), "3m20s");
    assert_string_equal(model_span(7500000, text), "2h05m");
    assert_string_equal(model_span(4LL * 86400000 + 3 * 3600000, text), "4d03h");
    assert_string_equal(model_span(-5, text), "0s");
}

/* ---- the menu ---- */

struct told { const char *action; int64_t slave; };

static enum wish press(struct menu *menu, struct model *m, enum press press, struct told *told)
{
    return menu_press(menu, m, press, 0, 5, &told->action, &told->slave);
}

static void enter_on_a_slave_offers_what_can_be_done_to_it(void **state)
{
    struct model *m = *state;
    struct menu menu = {.view = VIEW_LIST};
    struct told told;
    model_feed(m, ROUND(SLAVE("7", "pi4-a", "idle")));
    press(&menu, m, PRESS_DOWN, &told);
    press(&menu, m, PRESS_ENTER, &told);
    assert_int_equal(menu.view, VIEW_ACTIONS);
    assert_string_equal(menu.label, "pi4-a");
    assert_int_equal(press(&menu, m, PRESS_ENTER, &told), WISH_ACT);
    assert_string_equal(told.action, "pause");
    assert_int_equal(told.slave, 7);
    assert_int_equal(menu.view, VIEW_LIST);
}

static void enter_on_the_master_is_about_all(void **state)
{
    struct model *m = *state;
    struct menu menu = {.view = VIEW_LIST};
    struct told told;
    model_feed(m, ROUND(SLAVE("7", "pi4-a", "idle")));
    press(&menu, m, PRESS_ENTER, &told);
    press(&menu, m, PRESS_TAB, &told);
    press(&menu, m, PRESS_DOWN, &told);
    assert_int_equal(press(&menu, m, PRESS_ENTER, &told), WISH_ACT);
    assert_string_equal(told.action, "resume");
    assert_int_equal(told.slave, 0);
}

static void tab_turns_one_into_all(void **state)
{
    struct model *m = *state;
    struct menu menu = {.view = VIEW_LIST};
    struct told told;
    model_feed(m, ROUND(SLAVE("7", "pi4-a", "idle")));
    press(&menu, m, PRESS_END, &told);
    press(&menu, m, PRESS_ENTER, &told);
    press(&menu, m, PRESS_TAB, &told);
    press(&menu, m, PRESS_ENTER, &told);
    assert_int_equal(told.slave, 0);
}

static void what_cannot_be_taken_back_is_asked_about(void **state)
{
    struct model *m = *state;
    struct menu menu = {.view = VIEW_LIST};
    struct told told;
    model_feed(m, ROUND(SLAVE("7", "pi4-a", "idle")));
    model_move(m, 1);
    press(&menu, m, PRESS_ENTER, &told);
    for (int i = 0; i < MENU_ACTIONS; i++)
        press(&menu, m, PRESS_DOWN, &told);
    assert_int_equal(press(&menu, m, PRESS_ENTER, &told), WISH_NOTHING);
    assert_int_equal(menu.view, VIEW_ASK);
    press(&menu, m, PRESS_OTHER, &told);
    assert_int_equal(menu.view, VIEW_ACTIONS);
    press(&menu, m, PRESS_ENTER, &told);
    assert_int_equal(press(&menu, m, PRESS_ENTER, &told), WISH_ACT);
    assert_string_equal(told.action, "kill");
}

static void the_menu_stays_with_the_slave_it_was_opened_for(void **state)
{
    struct model *m = *state;
    struct menu menu = {.view = VIEW_LIST};
    struct told told;
    model_feed(m, ROUND(SLAVE("7", "pi4-a", "idle") "," SLAVE("8", "pi4-b", "idle")));
    model_move(m, 1);
    press(&menu, m, PRESS_ENTER, &told);
    model_feed(m, ROUND(SLAVE("8", "pi4-b", "idle")));
    press(&menu, m, PRESS_ENTER, &told);
    assert_int_equal(told.slave, 7);
}

static void escape_and_q_go_back_and_q_in_the_list_quits(void **state)
{
    struct model *m = *state;
    struct menu menu = {.view = VIEW_LIST};
    struct told told;
    model_feed(m, ROUND(""));
    press(&menu, m, PRESS_HELP, &told);
    assert_int_equal(menu.view, VIEW_HELP);
    assert_int_equal(press(&menu, m, PRESS_QUIT, &told), WISH_NOTHING);
    press(&menu, m, PRESS_ENTER, &told);
    assert_int_equal(press(&menu, m, PRESS_ESCAPE, &told), WISH_NOTHING);
    assert_int_equal(menu.view, VIEW_LIST);
    assert_int_equal(press(&menu, m, PRESS_QUIT, &told), WISH_QUIT);
}

static void write_into(struct menu *menu, struct model *m, const char *letters)
{
    struct told told;
    for (; *letters != '\0'; letters++)
        menu_press(menu, m, PRESS_OTHER, *letters, 5, &told.action, &told.slave);
}

static void what_is_typed_selects_the_first_slave_that_has_it_and_n_the_next(void **state)
{
    struct model *m = *state;
    struct menu menu = {.view = VIEW_LIST};
    struct told told;
    model_feed(m, ROUND(SLAVE("1", "pi3", "idle") "," SLAVE("2", "pi4-a", "idle") "," SLAVE("3", "pi4-b", "idle") ","
                        SLAVE("4", "riscv", "idle")));
    press(&menu, m, PRESS_FIND, &told);
    write_into(&menu, m, "I4");
    assert_int_equal(m->selected, 2);
    write_into(&menu, m, "-B");
    assert_int_equal(m->selected, 3);
    press(&menu, m, PRESS_ERASE, &told);
    assert_int_equal(m->selected, 2);
    press(&menu, m, PRESS_ENTER, &told);
    assert_int_equal(menu.view, VIEW_LIST);
    press(&menu, m, PRESS_NEXT, &told);
    assert_int_equal(m->selected, 3);
    press(&menu, m, PRESS_NEXT, &told);
    assert_int_equal(m->selected, 2);
}

static void a_search_that_is_left_or_finds_nothing_stays_where_it_began(void **state)
{
    struct model *m = *state;
    struct menu menu = {.view = VIEW_LIST};
    struct told told;
    model_feed(m, ROUND(SLAVE("1", "pi3", "idle") "," SLAVE("2", "pi4", "idle")));
    model_move(m, 1);
    press(&menu, m, PRESS_FIND, &told);
    write_into(&menu, m, "pi4");
    assert_int_equal(m->selected, 2);
    press(&menu, m, PRESS_ESCAPE, &told);
    assert_int_equal(m->selected, 1);
    press(&menu, m, PRESS_FIND, &told);
    write_into(&menu, m, "q/n");        /* no keys of the list here */
    assert_int_equal(menu.view, VIEW_FIND);
    assert_string_equal(menu.sought, "q/n");
    assert_int_equal(m->selected, 1);
    for (int i = 0; i < 100; i++)
        write_into(&menu, m, "x");
    assert_int_equal(strlen(menu.sought), sizeof menu.sought - 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_model, close_model)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_round_of_one_part_is_known_at_once),
        TEST(a_round_of_several_parts_is_known_when_the_last_has_come),
        TEST(half_a_round_is_forgotten_with_its_connection),
        TEST(what_is_no_json_changes_nothing),
        TEST(what_was_known_is_kept_when_the_connection_is_lost),
        TEST(slaves_are_in_the_order_of_their_labels),
        TEST(a_slave_that_leaves_while_it_is_back_is_shown_once),
        TEST(the_longest_build_stands_for_all),
        TEST(a_slave_that_is_short_of_room_or_fails_everything_says_so),
        TEST(control_characters_do_not_reach_the_terminal),
        TEST(what_is_typed_selects_the_first_slave_that_has_it_and_n_the_next),
        TEST(a_search_that_is_left_or_finds_nothing_stays_where_it_began),
        TEST(the_selection_follows_its_slave),
        TEST(the_selection_stays_in_its_row_when_its_slave_goes),
        TEST(the_selection_stops_at_both_ends),
        TEST(histories_go_on_from_round_to_round),
        TEST(a_graph_shows_the_latest_samples_at_the_right),
        TEST(a_graph_without_a_top_has_its_highest_sample_for_one),
        TEST(a_graph_keeps_a_minute),
        TEST(spans_are_short),
        TEST(enter_on_a_slave_offers_what_can_be_done_to_it),
        TEST(enter_on_the_master_is_about_all),
        TEST(tab_turns_one_into_all),
        TEST(what_cannot_be_taken_back_is_asked_about),
        TEST(the_menu_stays_with_the_slave_it_was_opened_for),
        TEST(escape_and_q_go_back_and_q_in_the_list_quits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
