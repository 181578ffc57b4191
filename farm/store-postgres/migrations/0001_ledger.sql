-- The ledger. Columns are what is searched, joined or must be unique; body is the whole value as JSON.
-- position keeps the order of insertion, which is the order of creation: writers take turns at the one row of leader.

create table leader (
    one     boolean primary key default true check (one),
    epoch   bigint  not null,
    address text    not null
);
insert into leader (epoch, address) values (0, '');

create table project (
    position bigint  generated always as identity primary key,
    id       text    collate "C" not null unique,
    name     text    collate "C" not null unique,
    created  bigint  not null,
    body     text    not null
);

create table character (
    position bigint  generated always as identity primary key,
    id       text    collate "C" not null,
    revision bigint  not null,
    latest   boolean not null,
    project  text    collate "C" not null references project (id),
    name     text    collate "C" not null,
    created  bigint  not null,
    body     text    not null,
    unique (id, revision)
);
create unique index character_latest on character (id) where latest;
create unique index character_by_name on character (project, name) where latest;

create table job (
    position bigint  generated always as identity primary key,
    id       text    collate "C" not null unique,
    project  text    collate "C" not null references project (id),
    request  text    collate "C" not null,
    state    text    collate "C" not null,
    created  bigint  not null,
    body     text    not null
);
create index job_by_project on job (project, position);
create unique index job_by_request on job (project, request) where state not in ('cancelled', 'failed');

create table task (
    position    bigint  generated always as identity primary key,
    id          text    collate "C" not null unique,
    job         text    collate "C" not null references job (id),
    kind        text    collate "C" not null,
    state       text    collate "C" not null,
    epoch       bigint  not null,
    spec_digest text    collate "C",
    created     bigint  not null,
    body        text    not null
);
create index task_by_job on task (job, position);
create index task_open on task (position) where state in ('waiting', 'ready', 'leased');
create index task_leased on task (position) where state = 'leased';
create index task_done_by_spec on task (spec_digest, position) where state = 'done';

create table event (
    seq     bigint  primary key,
    at      bigint  not null,
    project text    collate "C" not null references project (id),
    job     text    collate "C" references job (id),
    body    text    not null
);
create index event_by_project on event (project, seq);
create index event_by_job on event (job, seq);

-- Whoever stands by hears of every batch of events once it is committed.
create function tell_of_events() returns trigger language plpgsql as $$
begin
    perform pg_notify('greenroom_events', (select max(seq) from appended)::text);
    return null;
end
$$;
create trigger event_told after insert on event
    referencing new table as appended for each statement execute function tell_of_events();
