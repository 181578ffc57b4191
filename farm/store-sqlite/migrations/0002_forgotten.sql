-- What is left of characters that were forgotten. Their rows in character go; so does what named them elsewhere, and with
-- the rows the name, which the next character may take.

create table forgotten (
    position integer primary key,
    id       text    not null unique,
    project  text    not null references project (id),
    at       integer not null,
    finished integer not null check (finished in (0, 1)),
    body     text    not null
) strict;
create index forgotten_by_project on forgotten (project, position);
create index forgotten_unfinished on forgotten (position) where finished = 0;
