// SPDX-License-Identifier: Apache-2.0
// Health, readiness, build information and the server's own metrics.

import Base
import HTTPTypes
import Ingest
import Storage
import Synchronization

/// Endpoints that belong to no family.
struct AdminEndpoints: Sendable {
    let pipeline: IngestPipeline
    let metrics: SelfMetrics

    func metricsPage(_ request: APIRequest) async throws -> APIResponse {
        refresh()
        return .exposition(metrics)
    }

    /// `status/buildinfo`: what Grafana tells a flavour by. No `features` member on purpose.
    func buildInfo(_ request: APIRequest) async throws -> APIResponse {
        prometheusSuccess { json in
            json.beginObject()
            json.member("version", "3.14.0")
            json.member("revision", "tern-" + Base.version)
            json.member("branch", "main")
            json.member("buildUser", "")
            json.member("buildDate", "")
            json.member("goVersion", "")
            json.endObject()
        }
    }

    /// Copies counters that others keep into the page's families.
    private func refresh() {
        let status = pipeline.kernel.status
        let counters: [(String, String, Int)] = [
            ("tern_samples_total", "Samples made durable.", load(pipeline.counters.samples)),
            (
                "tern_samples_refused_total", "Samples refused at admission.",
                load(pipeline.counters.samplesRefused)
            ),
            ("tern_exemplars_total", "Exemplars made durable.", load(pipeline.counters.exemplars)),
            ("tern_log_lines_total", "Log lines made durable.", load(pipeline.counters.lines)),
            (
                "tern_log_lines_duplicate_total", "Log lines that were stored already.",
                load(pipeline.counters.linesDuplicate)
            ),
            ("tern_spans_total", "Spans made durable.", load(pipeline.counters.spans)),
            (
                "tern_spans_duplicate_total", "Spans that were stored already.",
                load(pipeline.counters.spansDuplicate)
            ),
            (
                "tern_batches_refused_total", "Batches answered 503 or 429.",
                load(pipeline.counters.refused)
            ),
            ("tern_seals_total", "Heads sealed into parts.", status.work.seals),
            ("tern_merges_total", "Merges of parts.", status.work.merges),
            ("tern_parts_expired_total", "Parts dropped by retention.", status.work.partsExpired),
            ("tern_storage_faults_total", "Damage found at start.", status.faults.count),
        ]
        for (name, help, value) in counters {
            metrics.declare(name, .counter, help)
            metrics.set(name, "", Double(value))
        }
        let gauges: [(String, String, String, Double)] = [
            ("tern_head_bytes", "", "Bytes held by heads.", Double(pipeline.headBytes)),
            ("tern_log_bytes", "", "Bytes of write-ahead log.", Double(status.logBytes)),
            ("tern_writable", "", "1 while writes are taken.", status.writable ? 1 : 0),
            ("process_resident_memory_bytes", "", "Resident memory.", Double(residentBytes())),
        ]
        for (name, labels, help, value) in gauges {
            metrics.declare(name, .gauge, help)
            metrics.set(name, labels, value)
        }
        metrics.declare("tern_parts", .gauge, "Parts by signal.")
        metrics.declare("tern_part_bytes", .gauge, "Bytes of parts by signal.")
        for (signal, totals) in status.parts {
            metrics.set("tern_parts", "signal=\"\(signal.name)\"", Double(totals.count))
            metrics.set("tern_part_bytes", "signal=\"\(signal.name)\"", Double(totals.bytes))
        }
        metrics.declare("process_cpu_seconds_total", .counter, "CPU time, user and system.")
        metrics.set("process_cpu_seconds_total", "", cpuSeconds())
    }

    private func load(_ counter: borrowing Atomic<Int>) -> Int { counter.load(ordering: .relaxed) }
}

extension APIResponse {
    /// The server's own metrics as a page.
    static func exposition(_ metrics: SelfMetrics) -> APIResponse {
        APIResponse(
            .ok, contentType: "text/plain; version=0.0.4; charset=utf-8",
            body: metrics.exposition())
    }
}
