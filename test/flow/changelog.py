"""PyPI's events as the changelog reader brings them into the database, for tests in which no PyPI is followed."""


def quoted(text):
    return "NULL" if text is None else f"'{text}'"


def tell(farm, *events):
    """Applies events in one transaction: (kind, package, version or None), with the kinds of event_staging. Versions have the
    sort keys that Farm.order gives them."""
    serial = int(farm.sql("SELECT greatest((SELECT max(serial) FROM event_cursor), (SELECT max(serial) FROM package), 0)"))
    rows = [f"({serial + at}, 1700000000 + {serial + at}, '{kind}', '{package}', '{package}', {quoted(version)}, {quoted(version)}, "
            "false, false)" for at, (kind, package, version) in enumerate(events, 1)]
    farm.sql(f"""BEGIN; DELETE FROM event_cursor; INSERT INTO event_cursor VALUES ({serial});
        SELECT events_open();
        INSERT INTO pg_temp.event_staging (serial, happened, kind, name, display, version, sort_key, prerelease, legacy)
            VALUES {', '.join(rows)};
        SELECT events_apply({serial}, {serial + len(events)}, true, false); COMMIT""")


def remove_release(farm, package, version="1.0"):
    tell(farm, ("R", package, version))


def remove_project(farm, package):
    tell(farm, ("P", package, None))


def yank(farm, package, version="1.0"):
    tell(farm, ("y", package, version))


def quarantine(farm, package):
    tell(farm, ("Q", package, None))


def clear(farm, package):
    tell(farm, ("C", package, None))
