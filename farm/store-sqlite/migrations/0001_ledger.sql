-- The ledger. Columns are what is searched, joined or must be unique; body is the whole value as JSON.
-- position keeps the order of insertion, which is the order of creation.

create table project (
    position integer primary key,
    id       text    not null unique,
    name     text    not null unique,
    created  integer not null,
    body     text    not null
) strict;

create table character (
    position integer primary key,
    id       text    not null,
    revision integer not null,
    latest   integer not null check (latest in (0, 1)),
    project  text    not null references project (id),
    name     text    not null,
    created  integer not null,
    body     text    not null,
    unique (id, revision)
) strict;
create unique index character_latest on character (id) where latest = 1;
create unique index character_by_name on character (project, name) where latest = 1;

create table job (
    position integer primary key,
    id       text    not null unique,
    project  text    not null references project (id),
    request  text    not null,
    state    text    not null,
    created  integer not null,
    body     text    not null
) strict;
create index job_by_project on job (project, position);
create unique index job_by_request on job (project, request) where state not in ('cancelled', 'failed');

create table task (
    position    integer primary key,
    id          text    not null unique,
    job         text    not null references job (id),
    kind        text    not null,
    state       text    not null,
    epoch       integer not null,
    spec_digest text,
    created     integer not null,
    body        text    not null
) strict;
create index task_by_job on task (job, position);
create index task_open on task (position) where state in ('waiting', 'ready', 'leased');
create index task_leased on task (position) where state = 'leased';
create index task_done_by_spec on task (spec_digest, position) where state = 'done';

create table event (
    seq     integer primary key,
    at      integer not null,
    project text    not null references project (id),
    job     text    references job (id),
    body    text    not null
) strict;
create index event_by_project on event (project, seq);
create index event_by_job on event (job, seq);
