-- What the administrator asks of the scheduler. Every revision is kept; the newest is in force.

create table policy (
    revision bigint primary key,
    body     text   not null
);
