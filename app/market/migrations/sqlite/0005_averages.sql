-- What providers gave: of each time one price in a currency, the one that was told last (epoch microseconds; 0: nobody says when).
CREATE TABLE prices (
    symbol TEXT NOT NULL,
    provider TEXT NOT NULL,
    currency TEXT NOT NULL,
    time_us INTEGER NOT NULL,
    price TEXT NOT NULL,
    told_us INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    updated_at_us INTEGER NOT NULL,
    PRIMARY KEY (symbol, provider, currency, time_us)
) STRICT, WITHOUT ROWID;

-- Up to each price the mean of the last ones, at most window_prices: of how many there were, the first of them at first_us.
CREATE TABLE averages (
    symbol TEXT NOT NULL,
    provider TEXT NOT NULL,
    currency TEXT NOT NULL,
    window_prices INTEGER NOT NULL,
    time_us INTEGER NOT NULL,
    average TEXT NOT NULL,
    prices INTEGER NOT NULL,
    first_us INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    updated_at_us INTEGER NOT NULL,
    PRIMARY KEY (symbol, provider, currency, window_prices, time_us)
) STRICT, WITHOUT ROWID;
CREATE INDEX averages_by_time ON averages (symbol, time_us);
