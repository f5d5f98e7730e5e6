-- What providers gave: of each time one price in a currency, the one that was told last (epoch microseconds; 0: nobody says when).
CREATE TABLE prices (
    symbol text COLLATE "C" NOT NULL,
    provider text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    time_us bigint NOT NULL,
    price numeric NOT NULL,
    told_us bigint NOT NULL,
    revision bigint NOT NULL,
    updated_at_us bigint NOT NULL,
    PRIMARY KEY (symbol, provider, currency, time_us)
);

-- Up to each price the mean of the last ones, at most window_prices: of how many there were, the first of them at first_us.
CREATE TABLE averages (
    symbol text COLLATE "C" NOT NULL,
    provider text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    window_prices integer NOT NULL,
    time_us bigint NOT NULL,
    average numeric NOT NULL,
    prices bigint NOT NULL,
    first_us bigint NOT NULL,
    revision bigint NOT NULL,
    updated_at_us bigint NOT NULL,
    PRIMARY KEY (symbol, provider, currency, window_prices, time_us)
);
CREATE INDEX averages_by_time ON averages (symbol, time_us);
