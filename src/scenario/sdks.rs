//! The SDK presets: how the MQTT clients of well-known SDKs connect, notice a dead peer and come
//! back, as named data with their sources. A scenario names one (`client: { preset: esp-mqtt }`),
//! `check` takes it from here.
//!
//! Figures are the defaults in the code of the SDK, read in the named file unless [`Sdk::assumed`]
//! says otherwise: those are figures of common experience, or of memory. What no preset can say:
//!
//! * Some SDKs have a timer for TCP and one for the CONNACK; a device has one for both. It is the one
//!   that a slow target meets, the CONNACK's, where there is one.
//! * Where an SDK does not limit what is in flight, the window is the widest a device can have.
//!
//! Whose silence a PINGREQ follows (`ping_on`) is from memory of the SDK's code, but for `esp-mqtt`.

use super::plan::{Backoff, BackoffShape, Client};
use super::template::Template;
use crate::mqtt::session::PingOn;
use std::time::Duration;

/// What is known of an SDK's client.
#[derive(Debug)]
pub struct Sdk {
    /// What a scenario calls it.
    pub name: &'static str,
    /// Whose client it is and what is special about it, in one line.
    pub about: &'static str,
    /// The settings without a source in the SDK's code, by their words in a scenario; empty if there
    /// are none.
    pub assumed: &'static str,
    /// From OPEN to CONNACK.
    pub connect_timeout: Duration,
    /// Whole seconds.
    pub keep_alive_s: u16,
    /// When it pings, and when it takes the peer for dead.
    pub ping: Ping,
    /// What makes it ping.
    pub ping_on: PingOn,
    /// Un-acknowledged QoS 1 publishes at a time, 1 to 256.
    pub inflight: u16,
    /// Reconnect policy.
    pub backoff: Backoff,
}

/// When a client writes a PINGREQ, and how long it waits for the PINGRESP.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Ping {
    /// After the keep-alive; for this long.
    Within(Duration),
    /// After the keep-alive; until the next one would be due.
    UntilNext,
    /// After half the keep-alive; for the other half.
    Halves,
    /// After the keep-alive; for half of it.
    ThenHalf,
    /// This many seconds before the end of the keep-alive; for `within`.
    Early { by_s: u16, within: Duration },
}

impl Ping {
    /// The time from what [`Sdk::ping_on`] names to a PINGREQ in seconds (`None` = the keep-alive), and
    /// from there to giving the connection up, which is no longer than the keep-alive: the wait is
    /// silence (MQTT-3.1.2-23). With a keep-alive of 0 nothing is written, and the second is of no use.
    pub fn times(self, keep_alive_s: u16) -> (Option<u16>, Duration) {
        let secs = |s: u16| Duration::from_secs(s.max(1).into());
        let (interval, timeout) = match self {
            Self::Within(timeout) => (None, timeout),
            Self::UntilNext => (None, secs(keep_alive_s)),
            Self::Halves => {
                let half = (keep_alive_s / 2).max(1);
                (Some(half), secs(keep_alive_s.saturating_sub(half)))
            }
            Self::ThenHalf => (None, secs(keep_alive_s.div_ceil(2))),
            Self::Early { by_s, within } => {
                (Some(keep_alive_s.saturating_sub(by_s).max(1)), within)
            }
        };
        match keep_alive_s {
            0 => (None, timeout),
            on => (interval, timeout.min(secs(on))),
        }
    }
}

impl Sdk {
    /// A device that does all as this SDK does.
    pub fn client(&self, client_id: Template) -> Client {
        let (ping_interval_s, ping_timeout) = self.ping.times(self.keep_alive_s);
        Client {
            preset: Some(self.name),
            connect_timeout: self.connect_timeout,
            keep_alive_s: self.keep_alive_s,
            ping_interval_s,
            ping_on: self.ping_on,
            ping_timeout,
            backoff: self.backoff,
            client_id,
            inflight: self.inflight,
        }
    }
}

/// The preset called `name`.
pub fn preset(name: &str) -> Option<&'static Sdk> {
    SDKS.iter().find(|sdk| sdk.name == name)
}

/// All names, in the order of [`SDKS`].
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    SDKS.iter().map(|sdk| sdk.name)
}

/// What a scenario's own settings begin from: no SDK, but a client that does nothing wrong.
pub(super) const PLAIN: Sdk = Sdk {
    name: "",
    about: "",
    assumed: "",
    connect_timeout: secs(10),
    keep_alive_s: 60,
    ping: Ping::Within(secs(10)),
    ping_on: PingOn::SilenceEither,
    inflight: 16,
    backoff: Backoff::of(BackoffShape::FullJitter {
        base: secs(1),
        cap: secs(30),
    }),
};

/// All presets: those for devices, for cloud SDKs, for gateways, and the two that only repeat.
pub static SDKS: [Sdk; 14] = [
    ESP_MQTT,
    GOLIOTH_ZEPHYR,
    AWS_EMBEDDED_C,
    AZURE_SDK_FOR_C,
    AZURE_IOT_SDK_C,
    AWS_CRT_MQTT5,
    AWS_CRT_MQTT311,
    PAHO_C,
    PAHO_JAVA,
    PAHO_PYTHON,
    UPLINK,
    MOSQUITTO_BRIDGE,
    MQTTJS,
    RUMQTTC_NAIVE,
];

/// The widest inflight window of a device, for SDKs without one.
const UNLIMITED: u16 = 256;

/// espressif/esp-mqtt `lib/include/mqtt_config.h` (`MQTT_RECON_DEFAULT_MS` 10 s,
/// `MQTT_NETWORK_TIMEOUT_MS` 10 s, `MQTT_KEEPALIVE_TICK` 120 s) and `mqtt_client.c`,
/// `process_keepalive`: PINGREQ half a keep-alive after the last PINGRESP, dead after a whole one.
/// The outbox limits what is in flight, by memory. There, traffic does not put a PINGREQ off.
const ESP_MQTT: Sdk = Sdk {
    name: "esp-mqtt",
    about: "ESP-IDF: a fixed wait, so that the herd stays together",
    assumed: "",
    connect_timeout: secs(10),
    keep_alive_s: 120,
    ping: Ping::Halves,
    ping_on: PingOn::Always,
    inflight: UNLIMITED,
    backoff: Backoff::of(BackoffShape::Fixed(secs(10))),
};

/// golioth/golioth-firmware-sdk `src/coap_client_zephyr.c`, `golioth_coap_client_thread`: 5 s after a
/// failed connect, 1 s after a session. It speaks CoAP over DTLS; what is taken over is its rhythm:
/// keep-alive 9 s, dead 30 s after the last packet received (of which MQTT allows the 9 s after the
/// PINGREQ only, so a device is quicker to notice).
const GOLIOTH_ZEPHYR: Sdk = Sdk {
    name: "golioth-zephyr",
    about: "Golioth for Zephyr (CoAP, its rhythm only): 1 s after a drop, then a fixed wait",
    assumed: "connect_timeout, ping_timeout, ping_on, inflight",
    connect_timeout: secs(10),
    keep_alive_s: 9,
    ping: Ping::Within(secs(21)),
    ping_on: PingOn::SilenceEither,
    inflight: 10,
    backoff: Backoff {
        first: Some(secs(1)),
        ..Backoff::of(BackoffShape::Fixed(secs(5)))
    },
};

/// aws/aws-iot-device-sdk-embedded-C `demos/mqtt/mqtt_demo_mutual_auth`,
/// `connectToServerWithBackoffRetries` (base 500 ms, cap 5 s, 5 retries, keep-alive 60 s) and
/// FreeRTOS/backoffAlgorithm: an attempt at once, then up to five more, each after a wait, then it
/// gives up. CONNACK within 1 s and PINGRESP within 5 s (coreMQTT's default) are from memory.
const AWS_EMBEDDED_C: Sdk = Sdk {
    name: "aws-embedded-c",
    about: "AWS IoT Embedded C demos: six attempts within seconds, then never again",
    assumed: "connect_timeout, ping_timeout, ping_on, inflight",
    connect_timeout: secs(1),
    keep_alive_s: 60,
    ping: Ping::Within(secs(5)),
    ping_on: PingOn::SilenceEither,
    inflight: 5,
    backoff: Backoff {
        first: Some(Duration::ZERO),
        give_up_after: Some(6),
        ..Backoff::of(BackoffShape::FullJitter {
            base: Duration::from_millis(500),
            cap: secs(5),
        })
    },
};

/// Azure/azure-sdk-for-c `sdk/src/azure/iot/az_iot_common.c`, `az_iot_calculate_retry_delay`, with the
/// figures its documentation recommends (1 s, 100 s, 5 s). It is a library without a client of its
/// own: the rest is the application's.
const AZURE_SDK_FOR_C: Sdk = Sdk {
    name: "azure-sdk-for-c",
    about: "Azure SDK for Embedded C: its jitter ends where the cap begins",
    assumed: "connect_timeout, keep_alive, ping_timeout, ping_on, inflight",
    connect_timeout: secs(10),
    keep_alive_s: 240,
    ping: Ping::Within(secs(10)),
    ping_on: PingOn::SilenceEither,
    inflight: 16,
    backoff: Backoff::of(BackoffShape::AzureSdkForC {
        base: secs(1),
        cap: secs(100),
        jitter: secs(5),
    }),
};

/// Azure/azure-iot-sdk-c `iothub_client/src/iothub_client_retry_control.c` and
/// `iothubtransport_mqtt_common.c` (`DEFAULT_MQTT_KEEPALIVE` 4 min, `DEFAULT_CONNACK_TIMEOUT` 30 s);
/// Azure/azure-umqtt-c `src/mqtt_client.c` (`KEEP_ALIVE_BUFFER_SEC` 10,
/// `DEFAULT_MAX_PING_RESPONSE_TIME` 80; how these two are applied is from memory).
const AZURE_IOT_SDK_C: Sdk = Sdk {
    name: "azure-iot-sdk-c",
    about: "Azure IoT C SDK: at once, then doubling with 5 % of jitter, cut to whole seconds",
    assumed: "ping_interval, ping_timeout, ping_on",
    connect_timeout: secs(30),
    keep_alive_s: 240,
    ping: Ping::Early {
        by_s: 10,
        within: secs(80),
    },
    ping_on: PingOn::SilenceOut,
    inflight: UNLIMITED,
    backoff: Backoff::of(BackoffShape::AzureIotSdkC {
        base: secs(1),
        cap: secs(30),
    }),
};

/// awslabs/aws-c-mqtt `source/v5/mqtt5_client.c` and
/// `include/aws/mqtt/private/v5/mqtt5_utils.h` (1 s, 120 s, reset after 30 s, CONNACK 20 s after a TCP
/// connect of at most 10 s, PINGRESP 30 s). The keep-alive is that of the SDKs upon it; the window is
/// the receive maximum of AWS `IoT` Core.
const AWS_CRT_MQTT5: Sdk = Sdk {
    name: "aws-crt-mqtt5",
    about: "AWS IoT SDKs v2, MQTT 5: full jitter cut after the draw, reset after 30 s online",
    assumed: "keep_alive, ping_on, inflight",
    connect_timeout: secs(20),
    keep_alive_s: 1200,
    ping: Ping::Within(secs(30)),
    ping_on: PingOn::Always,
    inflight: 100,
    backoff: Backoff {
        reset_after: secs(30),
        ..Backoff::of(BackoffShape::AwsCrt {
            base: secs(1),
            cap: secs(120),
        })
    },
};

/// awslabs/aws-c-mqtt `source/client.c` (`s_attempt_reconnect` doubles without jitter;
/// `AWS_RESET_RECONNECT_BACKOFF_DELAY_SECONDS` 10, `s_default_keep_alive_sec` 1200,
/// `s_default_ping_timeout_ns` 3 s). Its bounds of 1 s and 128 s are from memory.
const AWS_CRT_MQTT311: Sdk = Sdk {
    name: "aws-crt-mqtt311",
    about: "AWS IoT SDKs v2, MQTT 3.1.1: doubling without jitter, reset after 10 s online",
    assumed: "connect_timeout, ping_on, bounds of backoff, inflight",
    connect_timeout: secs(10),
    keep_alive_s: 1200,
    ping: Ping::Within(secs(3)),
    ping_on: PingOn::SilenceEither,
    inflight: UNLIMITED,
    backoff: Backoff {
        reset_after: secs(10),
        ..Backoff::of(BackoffShape::NoJitter {
            base: secs(1),
            cap: secs(128),
        })
    },
};

/// eclipse/paho.mqtt.c `src/MQTTAsyncUtils.c` with `automaticReconnect` on; `src/MQTTAsync.h`, its
/// initializer (1 s, 60 s, keep-alive 60 s, connect 30 s). Its `maxInflight` of 65 535 is no limit.
/// Its `rand()` is taken to be seeded anew on each device.
const PAHO_C: Sdk = Sdk {
    name: "paho-c",
    about: "Paho C, asynchronous: doubling to 60 s, plus or minus a fifth in whole seconds",
    assumed: "ping_timeout, ping_on",
    connect_timeout: secs(30),
    keep_alive_s: 60,
    ping: Ping::UntilNext,
    ping_on: PingOn::SilenceEither,
    inflight: UNLIMITED,
    backoff: Backoff::of(BackoffShape::PahoC {
        base: secs(1),
        cap: secs(60),
    }),
};

/// eclipse/paho.mqtt.java `MqttAsyncClient.java` with `automaticReconnect` on: from 1 s, doubled while
/// below 128 s. `MqttConnectOptions.java`: connect 30 s, keep-alive 60 s, 10 in flight.
const PAHO_JAVA: Sdk = Sdk {
    name: "paho-java",
    about: "Paho Java: doubling to 128 s without jitter",
    assumed: "ping_timeout, ping_on",
    connect_timeout: secs(30),
    keep_alive_s: 60,
    ping: Ping::UntilNext,
    ping_on: PingOn::SilenceEither,
    inflight: 10,
    backoff: Backoff::of(BackoffShape::NoJitter {
        base: secs(1),
        cap: secs(128),
    }),
};

/// eclipse/paho.mqtt.python `src/paho/mqtt/client.py` (`reconnect_delay_set` 1 s and 120 s,
/// `connect_timeout` 5 s, keep-alive 60 s). It has no timer for the CONNACK but the keep-alive.
const PAHO_PYTHON: Sdk = Sdk {
    name: "paho-python",
    about: "Paho Python: doubling to 120 s without jitter",
    assumed: "ping_timeout, ping_on, inflight",
    connect_timeout: secs(5),
    keep_alive_s: 60,
    ping: Ping::UntilNext,
    ping_on: PingOn::SilenceEither,
    inflight: 20,
    backoff: Backoff::of(BackoffShape::NoJitter {
        base: secs(1),
        cap: secs(120),
    }),
};

/// bytebeamio/uplink `uplink/src/base/mqtt/mod.rs`, `Mqtt::start`: 3 s after any error; keep-alive 30 s
/// and network timeout 30 s of its configuration. It stands upon rumqttc, as [`RUMQTTC_NAIVE`].
const UPLINK: Sdk = Sdk {
    name: "uplink",
    about: "Bytebeam uplink: a fixed wait, so that the herd stays together",
    assumed: "ping_timeout, ping_on, inflight",
    connect_timeout: secs(30),
    keep_alive_s: 30,
    ping: Ping::UntilNext,
    ping_on: PingOn::Always,
    inflight: 100,
    backoff: Backoff::of(BackoffShape::Fixed(secs(3))),
};

/// eclipse/mosquitto `src/bridge.c`, `bridge__backoff_step` and `bridge__backoff_reset` (the wait
/// after a lost connection is the base itself), `src/conf.c` (5 s, 30 s, keep-alive 60 s). Version 2.0
/// counts in whole seconds of its clock, which are left out here: a wait is up to a second longer
/// there.
const MOSQUITTO_BRIDGE: Sdk = Sdk {
    name: "mosquitto-bridge",
    about: "Mosquitto bridge: 5 s after a drop, then decorrelated jitter up to 30 s",
    assumed: "connect_timeout, ping_timeout, ping_on, inflight",
    connect_timeout: secs(60),
    keep_alive_s: 60,
    ping: Ping::UntilNext,
    ping_on: PingOn::SilenceEither,
    inflight: 20,
    backoff: Backoff {
        first: Some(secs(5)),
        ..Backoff::of(BackoffShape::DecorrelatedJitter {
            base: secs(5),
            cap: secs(30),
        })
    },
};

/// mqttjs/MQTT.js `src/lib/client.ts`, `defaultConnectOptions` (`reconnectPeriod` 1 s,
/// `connectTimeout` 30 s, keep-alive 60 s; issue 561 asks for jitter) and
/// `src/lib/KeepaliveManager.ts`: PINGREQ after the keep-alive, dead half of it later.
const MQTTJS: Sdk = Sdk {
    name: "mqttjs",
    about: "MQTT.js: a fixed second",
    assumed: "ping_on",
    connect_timeout: secs(30),
    keep_alive_s: 60,
    ping: Ping::ThenHalf,
    ping_on: PingOn::SilenceOut,
    inflight: UNLIMITED,
    backoff: Backoff::of(BackoffShape::Fixed(secs(1))),
};

/// bytebeamio/rumqtt issues 703 and 918, pull request 1022: `EventLoop::poll` connects again at once
/// when called after an error, so a loop without a sleep of its own has no wait at all. What an
/// attempt takes is its only limit.
const RUMQTTC_NAIVE: Sdk = Sdk {
    name: "rumqttc-naive",
    about: "rumqttc polled in a loop without a sleep: no wait at all",
    assumed: "connect_timeout, keep_alive, ping_timeout, ping_on, inflight",
    connect_timeout: secs(5),
    keep_alive_s: 60,
    ping: Ping::UntilNext,
    ping_on: PingOn::Always,
    inflight: 100,
    backoff: Backoff::of(BackoffShape::Fixed(Duration::ZERO)),
};

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

#[cfg(test)]
mod tests;
