// SPDX-License-Identifier: Apache-2.0
// From a discovered address to a target.

import Base
import Ingest
import Telemetry

/// Something to scrape.
package struct Target: Sendable {
    /// What makes two targets the same: relabelling may give several addresses one identity.
    package struct Identity: Hashable, Sendable {
        var labels: Labels
        var url: String
        var intervalSeconds: Double
        var timeoutSeconds: Double
        var histograms: HistogramOptions
    }

    /// Labels before relabelling, with the `__…__` ones.
    package var discovered: Labels
    /// Labels every sample of the target gets.
    package var labels: Labels
    package var url: String
    package var intervalSeconds: Double
    package var timeoutSeconds: Double
    /// Interval and timeout as the target's labels spell them.
    package var intervalText: String
    package var timeoutText: String
    /// The job's, as the target's labels changed them.
    package var histograms = HistogramOptions()

    package var identity: Identity {
        Identity(
            labels: labels, url: url, intervalSeconds: intervalSeconds,
            timeoutSeconds: timeoutSeconds, histograms: histograms)
    }

    /// Offset of the target's scrapes inside its interval, in nanoseconds: a hash of what it is, so
    /// that targets spread evenly and keep their place over restarts. Whole milliseconds, since
    /// samples have no finer time.
    package func offsetNanos(_ intervalNanos: Int64) -> Int64 {
        let millis = intervalNanos / 1_000_000
        guard millis > 0 else { return 0 }
        let hash = hash64(Array(url.utf8), seed: labels.hash)
        return Int64(hash % UInt64(millis)) * 1_000_000
    }
}

/// Targets of one configuration.
package struct TargetList: Sendable {
    /// In order of discovery, without duplicates.
    package var active: [Target] = []
    /// Discovered labels of those that relabelling dropped.
    package var dropped: [Labels] = []
    /// What is wrong with the others; each names the address.
    package var errors: [String] = []
}

/// Builds the targets of a configuration: defaults, relabelling, and the rules of
/// prometheus/prometheus `scrape/target.go`, `PopulateLabels`.
package func makeTargets(
    _ configuration: ScrapeConfiguration, groups: [TargetGroup]
) -> TargetList {
    var list = TargetList()
    var seen: Set<Target.Identity> = []
    for group in groups {
        for target in group.targets {
            let discovered = discoveredLabels(configuration, group, target)
            guard let relabelled = relabel(discovered, configuration.relabelRules) else {
                list.dropped.append(discovered)
                continue
            }
            do throws(RelabelError) {
                let target = try makeTarget(configuration, discovered, relabelled)
                if seen.insert(target.identity).inserted { list.active.append(target) }
            } catch {
                let address = discovered["__address__"] ?? "without an address"
                list.errors.append("target \(address): \(error)")
            }
        }
    }
    return list
}

private func discoveredLabels(
    _ configuration: ScrapeConfiguration, _ group: TargetGroup, _ target: [NamedText]
) -> Labels {
    var builder = LabelsBuilder()
    for label in group.labels { builder.set(label.name, label.value) }
    for label in target { builder.set(label.name, label.value) }
    func setDefault(_ name: String, _ value: String) {
        if (builder[name] ?? "").isEmpty { builder.set(name, value) }
    }
    setDefault("job", configuration.jobName)
    setDefault("__scrape_interval__", durationText(configuration.intervalSeconds))
    setDefault("__scrape_timeout__", durationText(configuration.timeoutSeconds))
    setDefault("__metrics_path__", configuration.metricsPath)
    setDefault("__scheme__", configuration.scheme)
    for (name, path) in HistogramOptions.labels {
        setDefault(name, "\(configuration.histograms[keyPath: path])")
    }
    for parameter in configuration.parameters {
        if let first = parameter.values.first {
            builder.set("__param_" + parameter.name, first)
        }
    }
    return builder.labels()
}

/// Seconds in Prometheus' notation.
private func durationText(_ seconds: Double) -> String {
    durationText(millis: Int64(min(seconds * 1000, 9e15).rounded()))
}

private func makeTarget(
    _ configuration: ScrapeConfiguration, _ discovered: Labels, _ relabelled: Labels
) throws(RelabelError) -> Target {
    guard let address = relabelled["__address__"] else { throw RelabelError("no address") }
    guard !address.contains("/") else {
        throw RelabelError("\"\(address)\" is not a valid hostname")
    }
    let scheme = relabelled["__scheme__"] ?? "http"
    guard scheme == "http" || scheme == "https" else {
        throw RelabelError("invalid scheme \"\(scheme)\"")
    }
    let intervalText =
        relabelled["__scrape_interval__"] ?? durationText(configuration.intervalSeconds)
    let timeoutText = relabelled["__scrape_timeout__"] ?? durationText(configuration.timeoutSeconds)
    let interval = try positive(intervalText, "scrape interval")
    let timeout = try positive(timeoutText, "scrape timeout")
    guard timeout <= interval else {
        throw RelabelError(
            "scrape timeout cannot be greater than scrape interval (\"\(timeoutText)\" > "
                + "\"\(intervalText)\")")
    }
    var histograms = configuration.histograms
    for (name, path) in HistogramOptions.labels {
        guard let text = relabelled[name] else { continue }
        guard let value = boolean(text) else {
            throw RelabelError("error parsing \(name): \"\(text)\" is neither true nor false")
        }
        histograms[keyPath: path] = value
    }
    var builder = LabelsBuilder()
    var parameters = configuration.parameters.filter { !$0.values.isEmpty }
    for (name, value) in relabelled.pairs {
        if name.hasPrefix("__param_") {
            let key = String(name.dropFirst("__param_".count))
            if let index = parameters.firstIndex(where: { $0.name == key }) {
                parameters[index].values[0] = value
            } else {
                parameters.append(.init(key, [value]))
            }
        } else if !name.hasPrefix("__") {
            builder.set(name, value)
        }
    }
    if builder["instance"] == nil { builder.set("instance", address) }
    var path = relabelled["__metrics_path__"] ?? "/metrics"
    if !path.hasPrefix("/") { path = "/" + path }
    let query = parameters.sorted { $0.name < $1.name }.flatMap { parameter in
        parameter.values.map {
            percentEncoded(parameter.name) + "=" + percentEncoded($0)
        }
    }
    let suffix =
        query.isEmpty ? "" : (path.contains("?") ? "&" : "?") + query.joined(separator: "&")
    return Target(
        discovered: discovered, labels: builder.labels(),
        url: "\(scheme)://\(address)\(path)\(suffix)", intervalSeconds: interval,
        timeoutSeconds: timeout, intervalText: intervalText, timeoutText: timeoutText,
        histograms: histograms)
}

extension HistogramOptions {
    /// Labels that change the options for one target.
    fileprivate static var labels: [(name: String, path: WritableKeyPath<HistogramOptions, Bool>)] {
        [
            ("__scrape_native_histograms__", \.isNative),
            ("__always_scrape_classic_histograms__", \.keepsClassic),
            ("__convert_classic_histograms_to_nhcb__", \.convertsClassic),
        ]
    }
}

/// Source: Go's `strconv.ParseBool`.
private func boolean(_ text: String) -> Bool? {
    switch text {
    case "1", "t", "T", "true", "TRUE", "True": true
    case "0", "f", "F", "false", "FALSE", "False": false
    default: nil
    }
}

private func positive(_ text: String, _ what: String) throws(RelabelError) -> Double {
    guard let seconds = parseDurationSeconds(text), seconds > 0 else {
        throw RelabelError("error parsing \(what): not a valid duration string: \"\(text)\"")
    }
    return seconds
}

/// A Prometheus duration (`1h30m`, `15s`, `500ms`) in seconds, or nil. Zero is allowed.
package func parseDurationSeconds(_ text: String) -> Double? {
    guard let millis = try? parseDurationMillis(text) else { return nil }
    return Double(millis) / 1000
}

/// Encodes for a query: everything but unreserved characters, a blank as `+`, as Go does.
private func percentEncoded(_ text: String) -> String {
    var out = ""
    for byte in text.utf8 {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
            UInt8(ascii: "_"), UInt8(ascii: "~"):
            out.unicodeScalars.append(Unicode.Scalar(byte))
        case UInt8(ascii: " "): out += "+"
        default:
            out += "%" + hexText(UInt64(byte), 2).uppercased()
        }
    }
    return out
}
