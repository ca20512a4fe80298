//! A second opinion on latency: one rumqttc client makes QoS 1 round trips against a broker while
//! fleetstorm loads it, and prints their percentiles beside which a report can be held.
//!
//! `cargo run --release --example round_trip -- 127.0.0.1:1883 1000`

use rumqttc::{AsyncClient, Event, MqttOptions, Outgoing, Packet, QoS};
use std::time::{Duration, Instant};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments
        .next()
        .ok_or("usage: round_trip HOST:PORT [COUNT] [GAP_MS]")?;
    let count: usize = arguments.next().map_or(Ok(1_000), |n| n.parse())?;
    let gap = Duration::from_millis(arguments.next().map_or(Ok(20), |n| n.parse())?);
    let (host, port) = address.rsplit_once(':').ok_or("the address has no port")?;
    let mut options = MqttOptions::new(
        format!("round-trip-{}", std::process::id()),
        host,
        port.parse()?,
    );
    options.set_keep_alive(Duration::from_secs(30));
    let (client, mut events) = AsyncClient::new(options, 10);
    events.network_options.set_tcp_nodelay(true);
    let mut micros = Vec::with_capacity(count);
    let mut sent = None;
    loop {
        match events.poll().await? {
            Event::Incoming(Packet::ConnAck(_)) => publish(&client).await?,
            Event::Outgoing(Outgoing::Publish(_)) => sent = Some(Instant::now()),
            Event::Incoming(Packet::PubAck(_)) => {
                micros.push(
                    sent.take()
                        .ok_or("an answer without a question")?
                        .elapsed()
                        .as_micros(),
                );
                if micros.len() == count {
                    break;
                }
                // The pause is the event loop's idle time; nothing is in flight then.
                tokio::time::sleep(gap).await;
                publish(&client).await?;
            }
            Event::Incoming(_) | Event::Outgoing(_) => {}
        }
    }
    micros.sort_unstable();
    let at = |p: usize| micros[(count * p / 100).min(count - 1)];
    use std::io::Write as _;
    writeln!(
        std::io::stdout(),
        "n {count}  p50 {} us  p90 {} us  p99 {} us",
        at(50),
        at(90),
        at(99)
    )?;
    Ok(())
}

async fn publish(client: &AsyncClient) -> Result<(), rumqttc::ClientError> {
    client
        .publish("round-trip", QoS::AtLeastOnce, false, vec![0u8; 120])
        .await
}
