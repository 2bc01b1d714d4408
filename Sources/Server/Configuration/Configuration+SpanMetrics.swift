// SPDX-License-Identifier: Apache-2.0
// Our section `span_metrics`.

import Base
import Ingest

extension Configuration {
    /// What is made of spans, by the names of Tempo's metrics generator.
    mutating func readSpanMetrics(_ top: inout YAMLSection) throws(ConfigurationError) {
        guard var section = try top.section("span_metrics") else { return }
        var settings = SpanMetricsSettings()
        let isEnabled = try section.bool("enabled") ?? true
        if let seconds = try section.duration("interval") {
            guard (1...3600).contains(seconds) else {
                throw section.failure("span_metrics: interval must be between 1s and 1h")
            }
            settings.intervalSeconds = seconds
        }
        if let label = try section.string("exemplar_label") {
            guard SpanMetricsSettings.isLabelName(label) else {
                throw section.failure(
                    "span_metrics: exemplar_label \(quotedText(label)) is no name of a label")
            }
            settings.exemplarLabel = label
        }
        if let text = try section.string("histograms") {
            guard let kind = SpanMetricsSettings.Histograms(rawValue: text) else {
                throw section.failure(
                    "span_metrics: histograms must be classic, native or both, not \(text)")
            }
            settings.histograms = kind
        }
        settings.staleSeconds = try section.duration("stale_after") ?? settings.staleSeconds
        settings.maxSeries = try section.int("max_series") ?? settings.maxSeries
        if var spans = try section.section("spans") { try settings.spans.read(&spans) }
        if var graph = try section.section("service_graphs") { try settings.graph.read(&graph) }
        try section.finish()
        settings.spans.isEnabled = settings.spans.isEnabled && isEnabled
        settings.graph.isEnabled = settings.graph.isEnabled && isEnabled
        do throws(SpanMetricsSettings.Fault) { try settings.check() } catch {
            throw section.failure("span_metrics: \(error)")
        }
        spanMetrics = settings
    }
}

extension SpanMetricsSettings.Spans {
    fileprivate mutating func read(_ section: inout YAMLSection) throws(ConfigurationError) {
        isEnabled = try section.bool("enabled") ?? isEnabled
        buckets = try section.numbers("histogram_buckets") ?? buckets
        dimensions = try section.strings("dimensions") ?? dimensions
        for var mapping in try section.sections(
            "dimension_mappings", ifNull: "empty or null dimension mapping")
        {
            guard let name = try mapping.string("name"),
                let sources = try mapping.strings("source_labels")
            else { throw mapping.failure("dimension_mappings: name and source_labels are needed") }
            mappings.append(
                SpanMetricsSettings.Mapping(
                    name: name, sources: sources, join: try mapping.string("join") ?? ""))
            try mapping.finish()
        }
        if var intrinsic = try section.section("intrinsic_dimensions") {
            hasService = try intrinsic.bool("service") ?? hasService
            hasSpanName = try intrinsic.bool("span_name") ?? hasSpanName
            hasSpanKind = try intrinsic.bool("span_kind") ?? hasSpanKind
            hasStatusCode = try intrinsic.bool("status_code") ?? hasStatusCode
            hasStatusMessage = try intrinsic.bool("status_message") ?? hasStatusMessage
            try intrinsic.finish()
        }
        hasTargetInfo = try section.bool("enable_target_info") ?? hasTargetInfo
        hasInstance = try section.bool("enable_instance_label") ?? hasInstance
        targetInfoExcluded =
            try section.strings("target_info_excluded_dimensions") ?? targetInfoExcluded
        if let parts = try section.strings("subprocessors") {
            let known = ["Latency", "Count", "Size"]
            for part in parts where !known.contains(part) {
                throw section.failure(
                    "subprocessors: \(quotedText(part)) is none of Latency, Count, Size")
            }
            hasLatency = parts.contains("Latency")
            hasCalls = parts.contains("Count")
            hasSize = parts.contains("Size")
        }
        try section.finish()
    }
}

extension SpanMetricsSettings.Graph {
    fileprivate mutating func read(_ section: inout YAMLSection) throws(ConfigurationError) {
        isEnabled = try section.bool("enabled") ?? isEnabled
        buckets = try section.numbers("histogram_buckets") ?? buckets
        dimensions = try section.strings("dimensions") ?? dimensions
        hasSidePrefix = try section.bool("enable_client_server_prefix") ?? hasSidePrefix
        waitSeconds = try section.duration("wait") ?? waitSeconds
        maxWaiting = try section.int("max_items") ?? maxWaiting
        peerAttributes = try section.strings("peer_attributes") ?? peerAttributes
        databaseNames = try section.strings("database_name_attributes") ?? databaseNames
        hasMessagingLatency =
            try section.bool("enable_messaging_system_latency_histogram") ?? hasMessagingLatency
        hasVirtualNodeLabel =
            try section.bool("enable_virtual_node_label") ?? hasVirtualNodeLabel
        try section.finish()
    }
}

extension YAMLSection {
    /// A list of finite numbers.
    fileprivate mutating func numbers(_ key: String) throws(ConfigurationError) -> [Double]? {
        guard let texts = try strings(key) else { return nil }
        var numbers: [Double] = []
        for text in texts {
            guard let number = Double(text), number.isFinite else {
                throw failure("\(key) must be a list of numbers, not \(quotedText(text))")
            }
            numbers.append(number)
        }
        return numbers
    }
}
