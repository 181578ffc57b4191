-- How far readers of the event log have read: those who tell others what happened.

create table bookmark (
    name text    primary key,
    seq  integer not null
) strict;
