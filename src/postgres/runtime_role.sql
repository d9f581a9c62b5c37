-- What the service may do. Run by the owner after every migration; the role's name comes in by the
-- setting curfew.runtime_role.
do $$
declare
    role text := current_setting('curfew.runtime_role');
begin
    execute format('grant usage on schema public to %I', role);
    execute format('revoke all on all tables in schema public from %I', role);
    execute format('grant select, insert, update, delete on people, groups, memberships, accounts, permission_sets, '
                   'directory_copy, sessions, refusals, replicas, findings, external_ids, identities, sign_ins to %I', role);
    execute format('grant select, insert, update on policy_in_force, requests, assignments, grants, operations, '
                   'recoveries, end_orders to %I', role);
    execute format('grant select, update on lease, audit_head, pause to %I', role);
    execute format('grant select, insert, delete on logout_tokens to %I', role);
    execute format('grant select, insert on installation, policies, decisions, audit_events, audit_names to %I', role);
    execute format('grant select on _sqlx_migrations to %I', role);
end
$$;
