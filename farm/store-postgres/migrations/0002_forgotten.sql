-- What is left of characters that were forgotten. Their rows in character go; so does what named them elsewhere, and with
-- the rows the name, which the next character may take.

create table forgotten (
    position bigint  generated always as identity primary key,
    id       text    collate "C" not null unique,
    project  text    collate "C" not null references project (id),
    at       bigint  not null,
    finished boolean not null,
    body     text    not null
);
create index forgotten_by_project on forgotten (project, position);
create index forgotten_unfinished on forgotten (position) where not finished;
