-- From an identity provider's account to a person of the directory, and sign-ins that are under way.

create table external_ids (
    issuer    text not null,
    id        text not null,
    person_id text not null references people (id) on delete cascade,
    primary key (issuer, id, person_id)
);
comment on table external_ids is
    'ExternalIds of the identity store, by which its provisioner knows a person: part of the copy of the directory.';
create index external_ids_person on external_ids (person_id);
create index people_user_name on people (user_name);

create table identities (
    issuer          text not null,
    subject         text not null,
    person_id       text not null,
    external_issuer text,
    external_id     text,
    user_name       text,
    linked_at       timestamptz not null,
    verified_at     timestamptz not null,
    primary key (issuer, subject),
    constraint identities_one_account unique (issuer, person_id),
    constraint identities_way check (
        (external_issuer is not null and external_id is not null and user_name is null)
        or (external_issuer is null and external_id is null and user_name is not null)
    )
);
comment on table identities is
    'Which account of a provider is which person: linked once, at the first sign-in. It stands even if the person leaves the directory, so that nobody inherits it.';
comment on column identities.user_name is 'By what they were linked if the directory has no ExternalIds of theirs: weaker, because names are given out anew.';
comment on column identities.verified_at is 'When they last signed in by it. The newest link of a person is compared with the identity store before access starts.';
create index identities_person on identities (person_id, verified_at desc);

create table sign_ins (
    state_hash   bytea primary key,
    browser_hash bytea not null,
    pending      jsonb not null,
    next         text not null,
    of_person    text,
    of_subject   text,
    expires_at   timestamptz not null,
    constraint sign_ins_next check (length(next) <= 2000)
);
comment on table sign_ins is
    'Sent to the provider and not back yet. Used once, and only by the browser that was sent.';
comment on column sign_ins.of_person is 'Set for a step-up: nobody else may come back.';
create index sign_ins_expiry on sign_ins (expires_at);

create table logout_tokens (
    id_hash    bytea primary key,
    expires_at timestamptz not null
);
comment on table logout_tokens is 'Back-channel logout tokens that were obeyed, until they run out by themselves: each counts once.';
create index logout_tokens_expiry on logout_tokens (expires_at);

create index sessions_subject on sessions ((data #>> '{person,provider,subject}'));
create index sessions_provider_session on sessions ((data #>> '{person,provider,session}'));

alter table decisions add column auth_time timestamptz;
comment on column decisions.auth_time is 'When the approver had last proved who they are, if the provider said.';
