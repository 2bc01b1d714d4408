// SPDX-License-Identifier: Apache-2.0
// The queries of `lab bench promql`.

import Base

/// A query with what it asks of the API.
struct PromQuery: Sendable {
    enum Kind: Sendable {
        case instant
        /// Over so many seconds before the end, every 15 s.
        case range(seconds: Int64)
        /// Values of a label; the text is the matcher.
        case values(label: String)
    }
    var text: String
    var kind: Kind

    var shown: String {
        // A pipe would end the table's cell.
        let text = text.split(separator: "|", omittingEmptySubsequences: false)
            .joined(separator: "\\|")
        return switch kind {
        case .instant: "`\(text)`"
        case .range(let seconds): "`\(text)` over \(seconds / 60) min"
        case .values(let label): "values of `\(label)` where `\(text)`"
        }
    }

    /// Path and parameters; `end` in seconds.
    func request(end: Int64) -> (path: String, parameters: [(String, String)]) {
        switch kind {
        case .instant: ("/api/v1/query", [("query", text), ("time", "\(end)")])
        case .range(let seconds):
            (
                "/api/v1/query_range",
                [
                    ("query", text), ("start", "\(end - seconds)"), ("end", "\(end)"),
                    ("step", "15"),
                ]
            )
        case .values(let label):
            (
                "/api/v1/label/\(label)/values",
                [("match[]", text), ("start", "\(end - 3600)"), ("end", "\(end)")]
            )
        }
    }
}

extension PromQuery {
    /// What a node dashboard asks of one machine and of the fleet.
    static let dashboard = [
        "1 - avg by (instance) (rate(node_cpu_seconds_total{mode=\"idle\"}[5m]))",
        "sum by (instance, mode) (rate(node_cpu_seconds_total{mode!=\"idle\"}[5m]))",
        "sum without (cpu) (irate(node_cpu_seconds_total[5m]))",
        "node_load1 / on (instance) count by (instance) "
            + "(node_cpu_seconds_total{mode=\"idle\"})",
        "1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes",
        "(node_memory_MemTotal_bytes - node_memory_MemFree_bytes - node_memory_Buffers_bytes "
            + "- node_memory_Cached_bytes) / 1024 ^ 2",
        "max by (instance, device) (1 - node_filesystem_avail_bytes / "
            + "node_filesystem_size_bytes)",
        "predict_linear(node_filesystem_avail_bytes[30m], 3600)",
        "sum by (instance) (rate(node_disk_read_bytes_total[5m]) "
            + "+ rate(node_disk_written_bytes_total[5m]))",
        "rate(node_disk_io_time_seconds_total[5m])",
        "sum by (instance) (rate(node_network_receive_bytes_total{device!=\"lo\"}[5m])) * 8",
        "sum by (instance) (rate(node_network_transmit_bytes_total{device!=\"lo\"}[5m])) * 8",
        "rate(node_context_switches_total[5m])",
        "avg_over_time(node_procs_running[5m])",
        "time() - node_boot_time_seconds",
    ]

    /// All queries of one size of data.
    ///
    /// - Parameter ids: values of the label `id` of `lab_request_seconds`.
    static func all(ids: Int) -> [PromQuery] {
        let hour: Kind = .range(seconds: 3600)
        var queries = dashboard.flatMap {
            [PromQuery(text: $0, kind: .instant), PromQuery(text: $0, kind: hour)]
        }
        let both = [
            "sum by (mode) (rate(node_cpu_seconds_total[5m]))",
            "topk(10, rate(node_cpu_seconds_total[5m]))",
            "rate(node_cpu_seconds_total[5m]) * on (instance) group_left () node_load1",
            "histogram_quantile(0.99, sum by (le, handler) "
                + "(rate(http_request_duration_seconds_bucket[5m])))",
        ]
        queries += [PromQuery(text: "{job=\"node\"}", kind: .instant)]
        queries += both.flatMap {
            [PromQuery(text: $0, kind: .instant), PromQuery(text: $0, kind: hour)]
        }
        queries += [
            PromQuery(text: "count({job=\"node\"})", kind: hour),
            PromQuery(text: "group by (__name__) ({__name__=~\".+\"})", kind: .instant),
            PromQuery(text: "{job=\"node\"}", kind: .values(label: "instance")),
            PromQuery(
                text: "{__name__=\"node_cpu_seconds_total\",mode=\"idle\"}",
                kind: .values(label: "instance")),
        ]
        if ids > 0 {
            queries += [
                PromQuery(
                    text: "count(lab_request_seconds{id=~\".*7.*3.*\"})", kind: .instant),
                PromQuery(
                    text: "lab_request_seconds{id=~\"id-0*(12|77|4242|99)\"}", kind: .instant),
                PromQuery(
                    text: "lab_request_seconds{id=~\".*99\"}", kind: .values(label: "id")),
            ]
        }
        return queries
    }
}
