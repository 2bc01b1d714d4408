// SPDX-License-Identifier: Apache-2.0
// What forwarding counts, under Prometheus' names.

import Base
import Ingest

extension Forwarding {
    private static let prefix = "prometheus_remote_storage_"

    /// Source: prometheus/prometheus `storage/remote/queue_manager.go`, `newQueueManagerMetrics`.
    func collect(into metrics: SelfMetrics) {
        guard let queue, queue.isActive else { return }
        let taken = queue.taken
        for (name, help, value) in [
            ("samples_in_total", "Samples in to remote storage.", Double(taken.samples)),
            (
                "histograms_in_total", "HistogramSamples in to remote storage.",
                Double(taken.histograms)
            ),
            ("exemplars_in_total", "Exemplars in to remote storage.", Double(taken.exemplars)),
        ] {
            metrics.show(Self.prefix + name, .counter, help, value)
        }
        metrics.show(
            Self.prefix + "highest_timestamp_in_seconds", .gauge,
            "Highest timestamp that has come into the remote storage via the Appender interface.",
            Double(taken.highestMillis) / 1000)
        metrics.show(
            "tern_forward_queue_bytes", .gauge, "Bytes that wait for other servers.",
            Double(queue.byteCount))
        metrics.show(
            "tern_forward_queue_failing", .gauge,
            "1 while nothing can be added to the queue on disk.", queue.failure == nil ? 0 : 1)
        for (settings, totals) in destinations {
            collect(settings.forward, totals, queue, into: metrics)
        }
    }

    private func collect(
        _ settings: ForwardSettings, _ totals: ForwardTotals, _ queue: ForwardQueue,
        into metrics: SelfMetrics
    ) {
        let labels =
            "remote_name=\(quotedText(settings.name)),url=\(quotedText(settings.url))"
        func show(_ name: String, _ kind: SelfMetrics.Kind, _ help: String, _ value: Double) {
            metrics.declare(Self.prefix + name, kind, help)
            metrics.set(Self.prefix + name, labels, value)
        }
        for (kind, count) in [
            ("samples", totals.samples), ("histograms", totals.histograms),
            ("exemplars", totals.exemplars), ("metadata", totals.metadata),
        ] {
            show(
                kind + "_total", .counter, "Total number of \(kind) sent to remote storage.",
                Double(count.sent))
            show(
                kind + "_failed_total", .counter,
                "Total number of \(kind) which failed on send to remote storage, "
                    + "non-recoverable errors.", Double(count.failed))
            show(
                kind + "_retried_total", .counter,
                "Total number of \(kind) which failed on send to remote storage but were retried "
                    + "because the send error was recoverable.", Double(count.retried))
        }
        func dropped(_ kind: String, _ reason: String, _ value: Int) {
            let name = Self.prefix + kind + "_dropped_total"
            metrics.declare(
                name, .counter,
                "Total number of \(kind) which were dropped before they were sent to remote storage, "
                    + "by reason.")
            metrics.set(name, labels + ",reason=\"\(reason)\"", Double(value))
        }
        dropped("samples", "dropped_series", totals.leftOut.byRelabelling)
        dropped("samples", "too_old", totals.leftOut.byAge)
        // Ours: the queue's bounds, or damage.
        dropped("samples", "queue_bound", queue.droppedPoints(settings.name))
        dropped("histograms", "not_wanted", totals.leftOut.histograms)
        dropped("exemplars", "not_wanted", totals.leftOut.exemplars)
        show(
            "samples_pending", .gauge,
            "The number of samples pending in the queue on disk to be sent to the remote storage.",
            Double(queue.pendingPoints(settings.name)))
        show(
            "queue_highest_sent_timestamp_seconds", .gauge,
            "Timestamp from a sample, the highest timestamp successfully sent by this queue.",
            Double(totals.highestMillis) / 1000)
        show(
            "bytes_total", .counter,
            "The total number of bytes of data (not metadata) sent by the queue after compression.",
            Double(totals.bytes))
        show(
            "shards", .gauge,
            "The number of shards used for parallel sending to the remote storage.",
            Double(totals.shards))
        show(
            "shards_desired", .gauge,
            "The number of shards that the queues shard calculation wants to run.",
            Double(totals.desiredShards))
        show(
            "shards_min", .gauge, "The minimum number of shards that the queue is allowed to run.",
            Double(settings.minShards))
        show(
            "shards_max", .gauge, "The maximum number of shards that the queue is allowed to run.",
            Double(settings.maxShards))
        show(
            "max_samples_per_send", .gauge,
            "The maximum number of samples to be sent, in a single request, to the remote storage.",
            Double(settings.samplesPerRequest))
        show(
            "sent_batch_duration_seconds_sum", .counter,
            "Seconds that requests took which were accepted.", totals.requestSeconds)
        show(
            "sent_batch_duration_seconds_count", .counter, "Requests that were accepted.",
            Double(totals.requests))
    }
}
