// SPDX-License-Identifier: Apache-2.0
// Jobs: `scrape_configs`.

import Base
import Ingest
import Scrape
import Yams

/// Reads one `scrape_config`.
///
/// Source: prometheus/prometheus `config/config.go`, `ScrapeConfig.Validate`.
func scrapeJob(
    _ section: YAMLSection, _ context: inout ConfigurationContext
) throws(ConfigurationError) -> ScrapeConfiguration {
    var section = section
    let global = context.global
    let name = try section.string("job_name") ?? ""
    let place = "scrape config with job name \(quotedText(name))"
    var job = global.scrape
    job.jobName = name
    let interval = try section.duration("scrape_interval") ?? 0
    if interval > 0 { job.intervalSeconds = interval }
    let timeout = try section.duration("scrape_timeout") ?? 0
    job.timeoutSeconds =
        timeout > 0 ? timeout : min(global.scrape.timeoutSeconds, job.intervalSeconds)
    guard job.timeoutSeconds <= job.intervalSeconds else {
        throw section.failure("scrape timeout greater than scrape interval for \(place)")
    }
    job.scheme = try section.string("scheme")?.lowercased() ?? "http"
    guard job.scheme == "http" || job.scheme == "https" else {
        throw section.failure("scheme must be http or https in \(place)")
    }
    job.metricsPath = try section.string("metrics_path") ?? "/metrics"
    job.honorLabels = try section.bool("honor_labels") ?? false
    job.honorTimestamps = try section.bool("honor_timestamps") ?? true
    job.trackTimestampsStaleness = try section.bool("track_timestamps_staleness") ?? false
    job.enableCompression = try section.bool("enable_compression") ?? true
    try section.scrapeLimits(&job, in: context.directory)
    job.histograms.bucketLimit = try section.int("native_histogram_bucket_limit") ?? 0
    job.histograms.minBucketFactor = try section.double("native_histogram_min_bucket_factor") ?? 0
    try section.readProtocols(&job, global, place)
    try section.readNames(&job, global, place)
    job.tenant = try section.tenant() ?? global.scrape.tenant
    job.parameters = try section.lists("params").map { .init($0.name, $0.values) }
    job.client = try section.httpClient(in: context.directory).options
    job.relabelRules = try section.relabelRules(
        "relabel_configs", job.names, ifNull: "empty or null target relabeling rule in \(place)")
    job.metricRelabelRules = try section.relabelRules(
        "metric_relabel_configs", job.names,
        ifNull: "empty or null metric relabeling rule in \(place)")
    job.groups = try section.staticGroups(areRelabelled: !job.relabelRules.isEmpty)
    job.discoveries = try section.discoveries(in: context.directory)
    try section.otherDiscoveries("job \(quotedText(name))", &context)
    try section.finish()
    if name.isEmpty { throw section.failure("job_name is empty") }
    return job
}

extension YAMLSection {
    /// `scrape_protocols`: the formats to ask for, the preferred one first.
    ///
    /// - Parameter place: of the section, for the text.
    mutating func scrapeProtocols(
        of place: String
    ) throws(ConfigurationError) -> [ScrapeProtocol]? {
        guard let names = try strings("scrape_protocols") else { return nil }
        if names.isEmpty { throw failure("scrape_protocols cannot be empty for \(place)") }
        var result: [ScrapeProtocol] = []
        for name in names {
            guard let choice = ScrapeProtocol(rawValue: name) else {
                throw failure("scrape_protocols: \(unknownProtocol(name)) for \(place)")
            }
            if result.contains(choice) {
                throw failure(
                    "duplicated protocol in scrape_protocols, got "
                        + "[\(names.joined(separator: " "))] for \(place)")
            }
            result.append(choice)
        }
        return result
    }

    fileprivate mutating func readProtocols(
        _ job: inout ScrapeConfiguration, _ global: GlobalSettings, _ place: String
    ) throws(ConfigurationError) {
        job.protocols =
            try scrapeProtocols(of: place) ?? global.protocols
            ?? (job.histograms.isNative ? ScrapeProtocol.protobufFirst : ScrapeProtocol.standard)
        guard let name = try string("fallback_scrape_protocol"), !name.isEmpty else { return }
        guard let choice = ScrapeProtocol(rawValue: name) else {
            throw failure("invalid fallback_scrape_protocol for \(place): \(unknownProtocol(name))")
        }
        job.fallbackProtocol = choice
    }

    fileprivate mutating func readNames(
        _ job: inout ScrapeConfiguration, _ global: GlobalSettings, _ place: String
    ) throws(ConfigurationError) {
        let (scheme, escaping) = try names()
        job.names = scheme ?? global.nameScheme ?? .utf8
        // A job that names its scheme does not inherit how the global one is escaped.
        let inherited = scheme == nil ? global.escaping : nil
        job.escaping = escaping ?? inherited ?? (job.names == .legacy ? .underscores : .allowUTF8)
        if job.names == .legacy, job.escaping == .allowUTF8 {
            throw failure(
                "utf8 metric names requested but validation scheme is not set to UTF8 for \(place)")
        }
    }

    /// `static_configs`.
    ///
    /// - Parameter areRelabelled: whether rules stand beside them. Then a target may be a URL, which
    ///   a rule makes a parameter of a prober; without rules it is refused. Source:
    ///   prometheus/prometheus `config/config.go`, `ScrapeConfig.UnmarshalYAML`.
    mutating func staticGroups(
        areRelabelled: Bool
    ) throws(ConfigurationError) -> [TargetGroup] {
        var groups: [TargetGroup] = []
        for section in try sections(
            "static_configs", ifNull: "empty or null section in static_configs")
        {
            var section = section
            let targets = try section.strings("targets") ?? []
            for target in targets where !areRelabelled && target.contains("/") {
                throw section.failure("\(quotedText(target)) is not a valid hostname")
            }
            let labels = try section.pairs("labels") ?? []
            try section.finish()
            groups.append(
                TargetGroup(targets: targets, labels: labels.map { NamedText($0.name, $0.value) }))
        }
        return groups
    }

    /// A list of relabelling rules.
    ///
    /// - Parameter ifNull: what is said about a rule that is not there.
    mutating func relabelRules(
        _ key: String, _ names: NameScheme, ifNull: String
    ) throws(ConfigurationError) -> [RelabelRule] {
        var rules: [RelabelRule] = []
        for entry in try sections(key, ifNull: ifNull) {
            var entry = entry
            var rule = RelabelRule.Definition()
            rule.names = names
            rule.sourceLabels = try entry.strings("source_labels") ?? []
            rule.separator = try entry.string("separator") ?? rule.separator
            // Where nothing stands behind the colon, upstream reads an empty text.
            let isEmptyExpression = entry.isNull("regex")
            rule.regex = try entry.string("regex") ?? (isEmptyExpression ? "" : rule.regex)
            rule.modulus = UInt64(try entry.int("modulus") ?? 0)
            rule.targetLabel = try entry.string("target_label") ?? ""
            rule.replacement = try entry.string("replacement") ?? rule.replacement
            let isEmptyAction = entry.isNull("action")
            rule.action = try entry.string("action") ?? (isEmptyAction ? "" : rule.action)
            try entry.finish()
            do throws(RelabelError) {
                rules.append(try RelabelRule(rule))
            } catch { throw entry.failure(error.description) }
        }
        return rules
    }
}

private func unknownProtocol(_ name: String) -> String {
    let all = ScrapeProtocol.allCases.map(\.rawValue).sorted().joined(separator: " ")
    return "unknown scrape protocol \(name), supported: [\(all)]"
}
