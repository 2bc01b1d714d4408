// SPDX-License-Identifier: Apache-2.0
// The rules that watch every service without being configured.

import Telemetry

/// The group `tern_watch`: errors, durations and requests of each service, from the series that are
/// made of its spans, against the service's own past; disks, memory limits and file descriptors
/// that will run out.
///
/// Ordinary PromQL, so it can be read, copied and asked for. The past of a figure is what the group
/// recorded in the last day and around this time yesterday and a week ago: median and distance of
/// the quartiles, of which the more lenient count. The last ten minutes are no past yet, so a fault
/// is not measured by itself. All three are absent on a fresh server, and nothing can fire then.
package enum WatchRules {
    package static let name = "tern_watch"
    /// What APIs show as the file.
    package static let file = "built-in"

    /// - Parameter tenant: whose data is watched.
    package static func group(tenant: Tenant) -> RuleGroupDefinition {
        var group = RuleGroupDefinition(name: name, file: file)
        group.tenant = tenant
        group.rules = recordings + limits + serviceAlerts + saturationAlerts
        return group
    }

    // MARK: - Figures

    /// Requests that a service answers; what it asks of others counts there.
    private static let served = #"span_kind=~"SPAN_KIND_SERVER|SPAN_KIND_CONSUMER",service!="""#
    private static let requests = "tern_watch:requests:rate5m"
    private static let errors = "tern_watch:errors:rate5m"
    private static let errorRatio = "tern_watch:error_ratio:rate5m"
    private static let latency = "tern_watch:latency_p95:rate5m"

    private static var recordings: [RuleDefinition] {
        [
            record(
                requests, "sum by (service) (rate(traces_spanmetrics_calls_total{\(served)}[5m]))"),
            record(
                errors,
                "sum by (service) (rate(traces_spanmetrics_calls_total{\(served),"
                    + "status_code=\"STATUS_CODE_ERROR\"}[5m])) or \(requests) * 0"),
            record(errorRatio, "\(errors) / (\(requests) > 0)"),
            // Without requests it is not a number; the comparison leaves that out.
            record(
                latency,
                "histogram_quantile(0.95, sum by (service, le) "
                    + "(rate(traces_spanmetrics_latency_bucket{\(served)}[5m]))) > 0"),
        ]
    }

    // MARK: - The past

    private static let lastDay = ("day", "[1d] offset 10m")
    private static let yesterday = ("yesterday", "[2h] offset 23h")
    private static let lastWeek = ("week", "[2h] offset 167h")
    /// Least samples, one a minute, that are a past.
    private static let leastSamples = 20

    /// A figure over one stretch of the past: `factor` medians, and `spreads` times the distance of
    /// the quartiles.
    private static func usual(
        _ figure: String, _ past: (name: String, range: String), factor: String, spreads: String
    ) -> String {
        let series = figure + past.range
        return "label_replace((\(factor) * quantile_over_time(0.5, \(series)) "
            + "\(spreads) * (quantile_over_time(0.75, \(series)) "
            + "- quantile_over_time(0.25, \(series)))) "
            + "and count_over_time(\(series)) >= \(leastSamples), "
            + "\"past\", \"\(past.name)\", \"\", \"\")"
    }

    private static var limits: [RuleDefinition] {
        func highest(_ figure: String, factor: String) -> String {
            "max by (service) ("
                + [lastDay, yesterday, lastWeek].map {
                    usual(figure, $0, factor: factor, spreads: "+ 3")
                }.joined(separator: " or ") + ")"
        }
        return [
            record("tern_watch:error_ratio:limit", highest(errorRatio, factor: "1") + " + 0.02"),
            record("tern_watch:latency_p95:limit", highest(latency, factor: "1.5") + " + 0.02"),
            // Requests follow the day: without yesterday nobody knows what is usual at this time.
            record(
                "tern_watch:requests:least",
                "min by (service) ("
                    + [yesterday, lastWeek].map {
                        usual(requests, $0, factor: "0.5", spreads: "- 1")
                    }.joined(separator: " or ") + ")"),
        ]
    }

    // MARK: - Alerts

    private static var serviceAlerts: [RuleDefinition] {
        // What is left of the ratio when it is counted from few requests.
        let sure =
            "(\(errorRatio) - 2 * sqrt(\(errorRatio) * clamp_min(1 - \(errorRatio), 0) "
            + "/ (\(requests) * 300)))"
        return [
            alert(
                "TernErrors",
                "\(errorRatio) and (\(sure) > tern_watch:error_ratio:limit) "
                    + "and (\(errors) * 300 >= 5)",
                hold: 120, keep: 300,
                "{{ $value | humanizePercentage }} of the requests of {{ $labels.service }} fail, "
                    + "more than is usual for it."),
            alert(
                "TernLatency",
                "\(latency) and (\(latency) > tern_watch:latency_p95:limit) "
                    + "and (\(requests) * 300 >= 100)",
                hold: 120, keep: 300,
                "95 % of the requests of {{ $labels.service }} take up to "
                    + "{{ $value | humanizeDuration }}, longer than is usual for it."),
            alert(
                "TernRequestsFell",
                "\(requests) < tern_watch:requests:least "
                    + "and (tern_watch:requests:least * 300 >= 20)",
                hold: 300, keep: 300,
                "{{ $labels.service }} gets {{ $value | humanize }} requests a second, fewer than "
                    + "is usual at this time."),
        ]
    }

    private static var saturationAlerts: [RuleDefinition] {
        let disk =
            #"node_filesystem_avail_bytes{fstype!~"tmpfs|ramfs|overlay|squashfs|iso9660|nsfs"}"#
        let memory = #"container_memory_working_set_bytes{container!="",container!="POD"}"#
        let memoryLimit = "(container_spec_memory_limit_bytes > 0)"
        let files = "process_open_fds"
        return [
            alert(
                "TernDiskFills",
                "predict_linear(\(disk)[30m], 4 * 3600) <= 0 "
                    + "and (\(disk) / node_filesystem_size_bytes < 0.4) "
                    + "and (count_over_time(\(disk)[30m]) >= 10) "
                    + "unless node_filesystem_readonly == 1",
                hold: 300, keep: 300,
                "{{ $labels.mountpoint }} of {{ $labels.instance }} is full within four hours, if "
                    + "it goes on as in the last half hour."),
            alert(
                "TernMemoryFills",
                "predict_linear(\(memory)[15m], 3600) > \(memoryLimit) "
                    + "and (\(memory) / \(memoryLimit) > 0.7) "
                    + "and (count_over_time(\(memory)[15m]) >= 10)",
                hold: 300, keep: 300,
                "Container {{ $labels.container }} of {{ $labels.pod }} reaches its memory limit "
                    + "within an hour, if it goes on as in the last quarter."),
            alert(
                "TernFilesRunOut",
                "predict_linear(\(files)[15m], 3600) > process_max_fds "
                    + "and (\(files) / process_max_fds > 0.5) "
                    + "and (count_over_time(\(files)[15m]) >= 10)",
                hold: 300, keep: 300,
                "{{ $labels.job }} at {{ $labels.instance }} runs out of file descriptors within "
                    + "an hour, if it goes on as in the last quarter."),
        ]
    }

    // MARK: - Forms

    private static func record(_ name: String, _ expression: String) -> RuleDefinition {
        var rule = RuleDefinition()
        rule.record = name
        rule.expression = expression
        return rule
    }

    private static func alert(
        _ name: String, _ expression: String, hold: Int64, keep: Int64, _ summary: String
    ) -> RuleDefinition {
        var rule = RuleDefinition()
        rule.alert = name
        rule.expression = expression
        rule.holdMillis = hold * 1000
        rule.keepFiringMillis = keep * 1000
        rule.labels = [RuleText("severity", "warning")]
        rule.annotations = [
            RuleText("summary", summary), RuleText(Alert.diagnoseAnnotation, "true"),
        ]
        return rule
    }
}
