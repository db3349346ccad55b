-- What the service's user may do: read, and call the functions that run as their owner. Who that is, initdb
-- says in the setting piwheels.service_user.

DO $$
DECLARE
    service text := current_setting('piwheels.service_user');
    name text;
BEGIN
    REVOKE ALL ON SCHEMA piwheels FROM PUBLIC;
    REVOKE ALL ON ALL TABLES IN SCHEMA piwheels FROM PUBLIC;
    REVOKE ALL ON ALL FUNCTIONS IN SCHEMA piwheels FROM PUBLIC;
    EXECUTE format('GRANT USAGE ON SCHEMA piwheels TO %I', service);
    EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA piwheels TO %I', service);
    FOR name IN SELECT oid::regprocedure FROM pg_proc
            WHERE pronamespace = 'piwheels'::regnamespace AND prosecdef LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', name, service);
    END LOOP;
END $$;
