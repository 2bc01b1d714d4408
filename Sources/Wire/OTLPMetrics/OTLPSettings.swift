// SPDX-License-Identifier: Apache-2.0
// The `otlp` section of a configuration.

/// How OTLP metrics become series; each property is a key of Prometheus' `otlp` section, with its
/// default.
///
/// Source: prometheus/prometheus `config/config.go`, `OTLPConfig`; `docs/configuration`.
package struct OTLPSettings: Sendable, Equatable {
    /// `translation_strategy`.
    package var strategy = TranslationStrategy.underscoreEscapingWithSuffixes
    /// `promote_resource_attributes`: those that become labels of every series.
    package var promotedResourceAttributes: Set<String> = []
    /// `promote_all_resource_attributes`: all become labels, except those to be ignored.
    package var promotesAllResourceAttributes = false
    /// `ignore_resource_attributes`.
    package var ignoredResourceAttributes: Set<String> = []
    /// `keep_identifying_resource_attributes`: `service.name`, `service.namespace` and
    /// `service.instance.id` stay on `target_info`.
    package var keepsIdentifyingResourceAttributes = false
    /// `promote_scope_metadata`: adds `otel_scope_name`, `_version`, `_schema_url` and the scope's
    /// attributes.
    package var promotesScopeMetadata = false
    /// `convert_histograms_to_nhcb`: explicit histograms become native ones with custom bounds.
    package var convertsHistogramsToCustomBuckets = false
    /// `label_name_underscore_sanitization`: `_a` becomes `key_a` where names are escaped.
    package var prefixesUnderscoreLabels = true
    /// `label_name_preserve_multiple_underscores`: else runs of them become one, where names are
    /// escaped.
    package var keepsMultipleUnderscores = true

    package init() {}
}
