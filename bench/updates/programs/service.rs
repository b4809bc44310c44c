// A service for the images of single Rust programs. Lines that begin with "v2:" are there since the second version.
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{mpsc, Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

#[derive(Clone, Debug)]
struct Reading {
    sensor: String,
    value: f64,
    at: Instant,
}

#[derive(Debug)]
enum Problem {
    NoMethod,
    NotANumber(String),
    Unknown(String),
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::NoMethod => write!(out, "the request has no method"),
            Problem::NotANumber(text) => write!(out, "{text:?} is not a number"),
            Problem::Unknown(path) => write!(out, "nothing is at {path}"),
        }
    }
}

#[derive(Default)]
struct Store {
    readings: HashMap<String, Vec<Reading>>,
}

impl Store {
    fn add(&mut self, sensor: &str, text: &str) -> Result<(), Problem> {
        let value = text.parse().map_err(|_| Problem::NotANumber(text.to_owned()))?;
        let one = Reading { sensor: sensor.to_owned(), value, at: Instant::now() };
        self.readings.entry(sensor.to_owned()).or_default().push(one);
        Ok(())
    }

    fn last(&self) -> BTreeMap<&str, &Reading> {
        self.readings.iter().filter_map(|(name, list)| Some((name.as_str(), list.last()?))).collect()
    }

    // v2: fn mean(&self, sensor: &str) -> Result<f64, Problem> {
    // v2:     let list = self.readings.get(sensor).ok_or_else(|| Problem::Unknown(sensor.to_owned()))?;
    // v2:     let mut values: Vec<f64> = list.iter().map(|one| one.value).collect();
    // v2:     values.sort_by(|a, b| a.total_cmp(b));
    // v2:     let inner = &values[values.len() / 10..values.len() - values.len() / 10];
    // v2:     Ok(inner.iter().sum::<f64>() / inner.len() as f64)
    // v2: }
}

fn answer(stream: TcpStream, store: &Mutex<Store>) -> Result<String, Problem> {
    let mut line = String::new();
    let _ = BufReader::new(stream).read_line(&mut line);
    let mut words = line.split_whitespace();
    let method = words.next().ok_or(Problem::NoMethod)?;
    let path = words.next().unwrap_or("/");
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let mut store = store.lock().unwrap();
    match (method, parts.as_slice()) {
        ("PUT", [sensor, value]) => store.add(sensor, value).map(|()| format!("{sensor} stored")),
        ("GET", [""]) => Ok(format!("{:#?}", store.last())),
        // v2: ("GET", ["mean", sensor]) => store.mean(sensor).map(|value| format!("{sensor}: {value:.3}")),
        _ => Err(Problem::Unknown(path.to_owned())),
    }
}

fn main() {
    let address = std::env::var("ADDRESS").unwrap_or_else(|_| "0.0.0.0:8080".to_owned());
    let store = Arc::new(Mutex::new(Store::default()));
    let (sender, receiver) = mpsc::channel::<Duration>();
    thread::spawn(move || {
        for took in receiver {
            println!("answered in {took:?}");
        }
    });
    let listener = TcpListener::bind(&address).expect("the address is free");
    for stream in listener.incoming().flatten() {
        let (store, sender) = (Arc::clone(&store), sender.clone());
        thread::spawn(move || {
            let begun = Instant::now();
            let mut out = stream.try_clone().expect("the connection is open");
            let text = answer(stream, &store).unwrap_or_else(|problem| problem.to_string());
            let _ = write!(out, "HTTP/1.0 200 OK\r\n\r\n{text}\n");
            let _ = sender.send(begun.elapsed());
        });
    }
}
