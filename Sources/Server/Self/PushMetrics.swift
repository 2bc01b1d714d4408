// SPDX-License-Identifier: Apache-2.0
// What the ways in for pushed metrics count, as families of `/metrics`.

import Ingest
import Synchronization

/// Copies the counters of lines, pushed groups and OTLP's translation into the page.
struct PushMetrics: Sendable {
    let lines: LineCounters
    let groups: PushGroups
    let intake: OTLPIntake
    let tails: TailFeed
    let doors: LogDoorCounters
    let traces: TraceDoorMetrics

    func collect(into metrics: SelfMetrics) {
        collectDoors(into: metrics)
        traces.collect(into: metrics)
        let taken = "tern_lines_total"
        metrics.declare(taken, .counter, "Samples and observations taken from lines, by protocol.")
        metrics.set(taken, "protocol=\"influx\"", load(lines.influxFields))
        metrics.set(taken, "protocol=\"graphite\"", load(lines.graphiteLines))
        metrics.set(taken, "protocol=\"statsd\"", load(lines.statsDObservations))
        let rejected = "tern_lines_rejected_total"
        metrics.declare(rejected, .counter, "Lines that could not be taken, by protocol.")
        metrics.set(rejected, "protocol=\"influx\"", load(lines.influxRejected))
        metrics.set(rejected, "protocol=\"graphite\"", load(lines.graphiteRejected))
        metrics.set(rejected, "protocol=\"statsd\"", load(lines.statsDRejected))
        metrics.show(
            "tern_influx_text_fields_total", .counter,
            "Fields of InfluxDB lines left out because they are text.", load(lines.influxTexts))
        metrics.show(
            "tern_lines_datagrams_dropped_total", .counter, "Datagrams that found no room.",
            load(lines.listeners.datagramsDropped))
        metrics.show(
            "tern_lines_connections_refused_total", .counter,
            "Connections closed: too many, or a line without an end.",
            load(lines.listeners.connectionsRefused))
        metrics.show(
            "tern_statsd_series", .gauge, "Series of StatsD that are known.",
            load(lines.statsDSeries))
        metrics.show(
            "tern_pushed_groups", .gauge, "Groups that jobs pushed.", Double(groups.groupCount))
        metrics.show(
            "tern_tails", .gauge, "Live tails of logs.", Double(tails.watcherCount))
        metrics.show(
            "tern_tail_feed_bytes", .gauge, "Bytes of batches that tails have not had yet.",
            Double(tails.heldBytes))
        metrics.show(
            "tern_tail_frames_total", .counter, "Frames sent to tails.",
            load(tails.counters.frames))
        metrics.show(
            "tern_tail_dropped_entries_total", .counter,
            "Lines that tails which have ended did not take in time.",
            load(tails.counters.dropped))
        metrics.show(
            "tern_otlp_delta_streams", .gauge, "Streams of delta temporality that are remembered.",
            Double(intake.deltaStreams))
        metrics.show(
            "tern_otlp_label_collisions_total", .counter,
            "Label names of OTLP points and resources that stood for several attributes.",
            Double(intake.translation.collisions))
    }

    private func collectDoors(into metrics: SelfMetrics) {
        let taken = "tern_log_door_lines_total", rejected = "tern_log_door_lines_rejected_total"
        metrics.declare(taken, .counter, "Log lines taken in, by door.")
        metrics.declare(rejected, .counter, "Log lines that could not be taken, by door.")
        for door in LogDoor.allCases {
            let count = doors[door]
            metrics.set(taken, "door=\"\(door.rawValue)\"", Double(count.lines))
            metrics.set(rejected, "door=\"\(door.rawValue)\"", Double(count.rejected))
        }
        metrics.show(
            "tern_log_door_datagrams_dropped_total", .counter,
            "Datagrams of log lines that found no room.", load(doors.listeners.datagramsDropped))
        metrics.show(
            "tern_log_door_connections_refused_total", .counter,
            "Connections for log lines closed: too many, or what no message is.",
            load(doors.listeners.connectionsRefused))
    }

    private func load(_ counter: borrowing Atomic<Int>) -> Double {
        Double(counter.load(ordering: .relaxed))
    }
}
