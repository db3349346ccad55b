-- Makes room for functions.sql in a database that is upgraded: away with every function of the schema, and
-- with the types that only functions use.

DO $$
DECLARE
    thing text;
BEGIN
    FOR thing IN SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = 'piwheels'::regnamespace LOOP
        EXECUTE 'DROP FUNCTION ' || thing;
    END LOOP;
    FOR thing IN SELECT oid::regclass FROM pg_class
            WHERE relnamespace = 'piwheels'::regnamespace AND relkind = 'c' LOOP
        EXECUTE 'DROP TYPE ' || thing;
    END LOOP;
END $$;
