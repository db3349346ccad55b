"""The changelog of the loopback PyPI speaks XML-RPC as PyPI does, and misbehaves when told to.

The standard library's xmlrpc.client is the peer.
"""
import http.client
import json
import sqlite3
import xml.parsers.expat
import xmlrpc.client

import pytest

from harness import LIMIT_S
from world import World

CALL = b"""<?xml version='1.0'?>
<methodCall><methodName>changelog_since_serial</methodName>
<params><param><value><int>0</int></value></param></params></methodCall>
"""
LIMIT = ('HTTPTooManyRequests: The action could not be performed because there were too many requests by the client.'
         ' Limit may reset in %d seconds.')


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    yield world
    world.close()


def release(world, filename='spam-1.0.tar.gz', project='spam', version='1.0'):
    world.sql("INSERT INTO file (project, version, filename, content) VALUES (?, ?, ?, 'x')", project, version, filename)


def add_events(world, count):
    world.sql("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
              " INSERT INTO event (project, version, time, action) SELECT 'p' || i, '1', 7, 'new release' FROM n", count)


# ---- rows

def test_a_release_is_three_rows_in_order(world):
    release(world)
    now, = world.sql('SELECT min(time) FROM event')[0]
    assert world.changelog() == [['spam', None, now, 'create', 1], ['spam', '1.0', now, 'new release', 2],
                                 ['spam', '1.0', now, 'add source file spam-1.0.tar.gz', 3]]


def test_rows_begin_after_the_serial_that_is_given(world):
    release(world)
    assert [row[4] for row in world.changelog(1)] == [2, 3]
    assert world.changelog(3) == []
    assert world.changelog(10 ** 9) == []


def test_an_empty_world_has_no_rows_and_the_serial_0(world):
    assert world.changelog() == []
    with world.remote() as remote:
        assert remote.changelog_last_serial() == 0


def test_the_last_serial_is_that_of_the_newest_row(world):
    release(world)
    world.sql("INSERT INTO event (serial, project, action) VALUES (628000, 'spam', 'add Owner remove')")
    with world.remote() as remote:
        assert remote.changelog_last_serial() == 628000
        assert remote.changelog_since_serial(3)[0][3:] == ['add Owner remove', 628000]


def test_an_answer_has_50000_rows_at_most(world):
    add_events(world, 50_002)
    first = world.changelog()
    assert (len(first), first[-1][4]) == (50_000, 50_000)
    assert [row[4] for row in world.changelog(50_000)] == [50_001, 50_002]


def test_the_name_is_spelt_as_its_author_does(world):
    world.sql("INSERT INTO project (name, display) VALUES ('spam-egg', 'Spam.Egg')")
    release(world, project='spam-egg')
    world.sql("DELETE FROM project WHERE name = 'spam-egg'")
    assert {row[0] for row in world.changelog()} == {'Spam.Egg'}


def test_a_row_may_spell_the_name_in_its_own_way(world):
    world.sql("INSERT INTO event (project, spelled, action) VALUES ('spam', 'SPAM', 'create')")
    assert world.changelog()[0][0] == 'SPAM'


@pytest.mark.parametrize('name', ['<&>"\'', ']]>', 'tab\tand\nnew\r\nlines', '\x7f\x85\xa0', 'x' * 5000, ' ', '',
                                  'naïve 蟒蛇 🐍'])
def test_text_arrives_as_it_is(world, name):
    world.sql("INSERT INTO event (project, version, action) VALUES (?1, ?1, ?1)", name)
    row, = world.changelog()
    assert (row[0], row[1], row[3]) == (name, name, name)


@pytest.mark.parametrize('character, reference', [('\0', b'sp&#0;am'), ('\x01', b'sp&#1;am'), ('\x1f', b'sp&#31;am')])
def test_what_xml_cannot_carry_makes_an_answer_that_no_strict_reader_takes(world, character, reference):
    world.sql("INSERT INTO event (project, action) VALUES (?, 'create')", f'sp{character}am')
    assert b'<string>' + reference + b'</string>' in world.call(CALL).body
    with pytest.raises(xml.parsers.expat.ExpatError):
        world.changelog()


def test_numbers_may_be_negative_and_large(world):
    world.sql("INSERT INTO event (serial, project, time, action) VALUES (9000000000, 'p', -1, 'create')")
    body = world.call(CALL).body
    assert b'<int>-1</int>' in body
    assert b'<int>9000000000</int>' in body


def test_answers_are_xml_of_known_length(world):
    answer = world.call(CALL, Content_Type='text/xml; charset=utf-8')
    assert answer.headers['Content-Type'] == 'text/xml; charset=utf-8'
    assert int(answer.headers['Content-Length']) == len(answer.body)


# ---- changes

def actions(world, since=0):
    return [(row[1], row[3]) for row in world.changelog(since)]


def test_a_quarantined_project_has_no_files_and_is_not_listed_until_it_is_cleared(world):
    release(world)
    world.sql("UPDATE project SET quarantined = 1")
    assert world.json('/simple/spam/')['files'] == world.json('/simple/spam/')['versions'] == []
    assert world.json('/simple/')['projects'] == []
    assert world.json('/simple/spam/')['meta']['_last-serial'] == 4
    world.sql("UPDATE project SET quarantined = 0")
    assert len(world.json('/simple/spam/')['files']) == 1
    assert len(world.json('/simple/')['projects']) == 1
    assert actions(world, 3) == [(None, 'project quarantined'), (None, 'project quarantine cleared')]


def test_a_quarantined_release_has_no_files_until_it_is_cleared(world):
    release(world)
    release(world, 'spam-2.0.tar.gz', version='2.0')
    world.sql("UPDATE release SET quarantined = 1 WHERE version = '2.0'")
    assert world.json('/simple/spam/')['versions'] == ['1.0']
    assert json.loads(world.ask('/pypi/spam/json').body)['info']['version'] == '1.0'
    assert 'spam-2.0' not in world.ask('/simple/spam/').body.decode()
    world.sql("UPDATE release SET quarantined = 0 WHERE version = '2.0'")
    assert world.json('/simple/spam/')['versions'] == ['1.0', '2.0']
    assert actions(world, 5) == [('2.0', 'release quarantined'), ('2.0', 'release quarantine cleared')]


def test_yanks_and_removals_are_rows_in_pypis_words(world):
    release(world, 'spam-1.0-py3-none-any.whl')
    world.sql("UPDATE release SET yanked = 1")
    world.sql("UPDATE release SET yanked = 0")
    world.sql("DELETE FROM file")
    world.sql("DELETE FROM release")
    world.sql("DELETE FROM project")
    assert actions(world, 2) == [
        ('1.0', 'add py3 file spam-1.0-py3-none-any.whl'), ('1.0', 'yank release'), ('1.0', 'unyank release'),
        ('1.0', 'remove file spam-1.0-py3-none-any.whl'), ('1.0', 'remove release'), (None, 'remove project')]


def test_a_page_can_be_older_than_the_changelog(world):
    release(world)
    world.sql("UPDATE project SET serial = serial - 1")
    assert world.ask('/simple/spam/').headers['X-PyPI-Last-Serial'] == '2'
    assert world.changelog()[-1][4] == 3


def test_an_event_can_be_lost(world):
    release(world)
    world.sql("DELETE FROM event WHERE serial = 3")
    release(world, 'spam-1.0.zip')
    assert [row[4] for row in world.changelog()] == [1, 2, 4]


def test_the_list_of_projects_has_the_serial_of_each(world):
    release(world)
    release(world, 'egg-1.0.tar.gz', 'egg')
    assert world.json('/simple/')['projects'] == [{'_last-serial': 6, 'name': 'egg'}, {'_last-serial': 3, 'name': 'spam'}]


# ---- calls that are refused

@pytest.mark.parametrize('body, code', [
    (b'', -32700),
    (b'nonsense', -32700),
    (b'<methodCall>', -32700),
    (CALL + b'<more/>', -32700),
    (CALL.replace(b'</params>', b''), -32700),
    (CALL.replace(b'changelog_since_serial', b'x' * 64), -32700),
    (CALL.replace(b'changelog_since_serial', b''), -32700),
    (CALL.replace(b'0', b'\0'), -32700),
    (CALL.replace(b'changelog_since_serial', b'list_packages'), -32601),
    (CALL.replace(b'changelog_since_serial', b'changelog_last_serial'), -32602),
    (CALL.replace(b'<int>0</int>', b'<string>0</string>'), -32602),
    (CALL.replace(b'<int>0</int>', b'0'), -32602),
    (CALL.replace(b'<int>0</int>', b'<int>0</i4>'), -32602),
    (CALL.replace(b'<int>0</int>', b'<int>99999999999999999999</int>'), -32602),
    (CALL.replace(b'<params>', b'<params><param><value><i8>1</i8></value></param>'), -32602),
    (CALL.replace(b'<param><value><int>0</int></value></param>', b''), -32602),
])
def test_a_call_that_cannot_be_answered_is_a_fault(world, body, code):
    answer = world.call(body)
    assert answer.status == 200
    with pytest.raises(xmlrpc.client.Fault) as fault:
        xmlrpc.client.loads(answer.body)
    assert fault.value.faultCode == code


@pytest.mark.parametrize('name', ['changelog', 'system.listMethods', 'package_releases'])
def test_other_methods_are_not_there(world, name):
    with world.remote() as remote, pytest.raises(xmlrpc.client.Fault, match='method not found'):
        getattr(remote, name)()


@pytest.mark.parametrize('method', ['GET', 'HEAD', 'PUT'])
def test_the_changelog_is_asked_with_post_only(world, method):
    answer = world.ask('/pypi', method)
    assert (answer.status, answer.headers['Allow']) == (405, 'POST')


def test_a_call_that_is_not_sent_as_xml_is_refused(world):
    assert world.call(CALL, Content_Type='application/json').status == 415
    assert world.ask('/pypi', 'POST', CALL).status == 415


# ---- misbehaviour

@pytest.mark.parametrize('argument, status, retry_after', [
    ('429 7', 429, '7'), ('500', 500, None), (None, 500, None),
    ('503 Wed, 21 Oct 2026 07:28:00 GMT', 503, 'Wed, 21 Oct 2026 07:28:00 GMT'),
])
def test_a_status_can_come_for_rows(world, argument, status, retry_after):
    world.misbehave('/pypi', 'status', argument, times=1)
    with pytest.raises(xmlrpc.client.ProtocolError) as refused:
        world.changelog()
    assert (refused.value.errcode, refused.value.headers.get('Retry-After')) == (status, retry_after)
    assert world.changelog() == []


@pytest.mark.parametrize('argument, said', [(None, LIMIT % 1), ('34', LIMIT % 34), ('RuntimeError: no', 'RuntimeError: no')])
def test_a_fault_can_come_for_rows(world, argument, said):
    world.misbehave('/pypi', 'fault', argument)
    with pytest.raises(xmlrpc.client.Fault) as fault:
        world.changelog()
    assert (fault.value.faultCode, fault.value.faultString) == (-32500, said)


def test_misbehaviour_can_be_kept_to_a_method(world):
    release(world)
    world.misbehave('/pypi', 'status', '500', method='POST')
    assert world.ask('/pypi/spam/json').status == 200
    assert world.call(CALL).status == 500


def test_rows_can_be_cut_off(world):
    add_events(world, 100)
    world.misbehave('/pypi', 'cut')
    with pytest.raises(http.client.IncompleteRead):
        world.call(CALL)


def test_html_can_come_for_rows(world):
    world.misbehave('/pypi', 'html')
    assert world.call(CALL).headers['Content-Type'].startswith('text/html')


def test_a_call_can_be_sent_round_in_a_circle(world):
    world.misbehave('/pypi', 'redirect')
    answer = world.call(CALL)
    assert (answer.status, answer.headers['Location']) == (302, '/pypi')
    assert world.ask('/pypi').status == 302


def test_rows_can_stay_away(world):
    world.misbehave('/pypi', 'stall')
    connection = http.client.HTTPConnection(world.address, timeout=0.5)
    connection.request('POST', '/pypi', CALL, {'Content-Type': 'text/xml'})
    with pytest.raises(TimeoutError):
        connection.getresponse()
    connection.close()


def test_rows_can_drip(world):
    add_events(world, 200)
    whole = world.call(CALL).body
    world.misbehave('/pypi', 'drip', '10')      # bytes a second: all of them take more than an hour
    connection = http.client.HTTPConnection(world.address, timeout=LIMIT_S)
    connection.request('POST', '/pypi', CALL, {'Content-Type': 'text/xml'})
    response = connection.getresponse()
    assert 0 < len(response.read1()) < len(whole) / 2
    connection.close()
    world.sql("UPDATE behaviour SET argument = '100000'")
    assert world.call(CALL).body == whole


def test_rows_can_come_newest_first(world):
    add_events(world, 3)
    world.misbehave('/pypi', 'reversed')
    assert [row[4] for row in world.changelog(1)] == [3, 2]


def test_rows_can_come_again(world):
    add_events(world, 3)
    world.misbehave('/pypi', 'repeated')
    assert [row[4] for row in world.changelog(2)] == [1, 2]


@pytest.mark.parametrize('name, answer', [
    ('string', 'no rows today'),
    ('number', 7),
    ('flat', ['spam', 7]),
    ('short', [['spam', None, 1700000000, 'create']]),
    ('long', [['spam', '1', 1700000000, 'create', 9000000000, 9000000000]]),
    ('types', [['spam', None, 1700000000, 'create', 'soon']]),
    ('huge', [['spam', None, 1700000000, 'create', 99999999999999999999]]),
    ('negative', [['spam', None, 1700000000, 'create', -1]]),
])
def test_xml_of_another_shape_can_come_for_rows(world, name, answer):
    world.misbehave('/pypi', 'shape', name)
    assert world.changelog() == answer


@pytest.mark.parametrize('name', ['references', 'entity', 'bytes', 'nothing', 'other'])
def test_what_is_no_answer_can_come_for_rows(world, name):
    world.misbehave('/pypi', 'shape', name)
    with pytest.raises((xml.parsers.expat.ExpatError, xmlrpc.client.ResponseError, IndexError)):
        world.changelog()


def test_a_shape_that_nobody_knows_is_refused(world):
    with pytest.raises(sqlite3.IntegrityError):
        world.misbehave('/pypi', 'shape', 'nonsense')
