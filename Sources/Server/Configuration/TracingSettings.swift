// SPDX-License-Identifier: Apache-2.0
// Sections of Prometheus' own process, and what `otlp` says.

import Base
import Ingest
import Wire

/// The section `tracing`: checked, and without effect, since this server sends no traces of itself.
///
/// Source: prometheus/prometheus `config/config.go`, `TracingConfig`.
package struct TracingSettings: Sendable, Equatable {
    package var endpoint = ""
    package var isHTTP = false
    package var samplingFraction = 0.0
    package var timeoutSeconds = 10.0
    package var tls = TLSSettings()

    package init() {}

    init(_ section: inout YAMLSection, in directory: String) throws(ConfigurationError) {
        let type = try section.string("client_type") ?? "grpc"
        guard type == "grpc" || type == "http" else {
            throw section.failure(
                "expected tracing client type to be either http or grpc, got \(quotedText(type))")
        }
        isHTTP = type == "http"
        endpoint = try section.string("endpoint") ?? ""
        if endpoint.isEmpty { throw section.failure("tracing endpoint must be set") }
        _ = try section.remoteHeaders(
            authorization: "authorization header configuration is not yet supported")
        let compression = try section.string("compression") ?? ""
        if !compression.isEmpty, compression != "gzip" {
            throw section.failure(
                "invalid compression type \(compression) provided, valid options: gzip")
        }
        samplingFraction = try section.double("sampling_fraction") ?? 0
        timeoutSeconds = try section.duration("timeout") ?? timeoutSeconds
        _ = try section.bool("insecure")
        tls = try section.tls("tls_config").resolved(in: directory)
        try section.finish()
    }
}

extension OTLPSettings {
    /// Source: prometheus/prometheus `config/config.go`, `OTLPConfig.UnmarshalYAML`.
    init(_ section: inout YAMLSection, _ names: NameScheme) throws(ConfigurationError) {
        self.init()
        if let text = try section.string("translation_strategy"), !text.isEmpty {
            guard let known = TranslationStrategy(rawValue: text) else {
                throw section.failure("unsupported OTLP translation strategy \(quotedText(text))")
            }
            strategy = known
        }
        if names == .legacy, [.noUTF8EscapingWithSuffixes, .noTranslation].contains(strategy) {
            throw section.failure(
                "OTLP translation strategy \(quotedText(strategy.rawValue)) is not allowed when "
                    + "UTF8 is disabled")
        }
        promotesAllResourceAttributes =
            try section.bool("promote_all_resource_attributes") ?? false
        if promotesAllResourceAttributes, section.has("promote_resource_attributes") {
            throw section.failure(
                "'promote_all_resource_attributes' and 'promote_resource_attributes' cannot be "
                    + "configured simultaneously")
        }
        if !promotesAllResourceAttributes, section.has("ignore_resource_attributes") {
            throw section.failure(
                "'ignore_resource_attributes' cannot be configured unless "
                    + "'promote_all_resource_attributes' is true")
        }
        promotedResourceAttributes = try section.attributes(
            "promote_resource_attributes", "promoted")
        ignoredResourceAttributes = try section.attributes(
            "ignore_resource_attributes", "ignored")
        keepsIdentifyingResourceAttributes =
            try section.bool("keep_identifying_resource_attributes") ?? false
        promotesScopeMetadata = try section.bool("promote_scope_metadata") ?? false
        convertsHistogramsToCustomBuckets =
            try section.bool("convert_histograms_to_nhcb") ?? false
        prefixesUnderscoreLabels =
            try section.bool("label_name_underscore_sanitization") ?? prefixesUnderscoreLabels
        keepsMultipleUnderscores =
            try section.bool("label_name_preserve_multiple_underscores")
            ?? keepsMultipleUnderscores
        try section.finish()
    }
}

extension YAMLSection {
    /// A list of attribute names; all that is wrong with it is told at once.
    fileprivate mutating func attributes(
        _ key: String, _ participle: String
    ) throws(ConfigurationError) -> Set<String> {
        var seen: Set<String> = []
        var faults: [String] = []
        for name in try strings(key) ?? [] {
            let name = trimmed(name)
            if name.isEmpty {
                faults.append("empty \(participle) OTel resource attribute")
            } else if !seen.insert(name).inserted {
                faults.append(
                    "duplicated \(participle) OTel resource attribute \(quotedText(name))")
            }
        }
        if !faults.isEmpty {
            throw failure("invalid '\(key)': " + faults.joined(separator: "; "))
        }
        return seen
    }
}
