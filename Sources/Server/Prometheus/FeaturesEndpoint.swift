// SPDX-License-Identifier: Apache-2.0
// features: what this server can do.

import Base
import PromQL

/// `/api/v1/features`: names by category. Source: prometheus/prometheus `util/features` and those
/// who register with it. What is not listed does not exist here.
struct FeaturesEndpoint: Sendable {
    let features: QueryFeatures
    let isAdminEnabled: Bool
    let isLifecycleEnabled: Bool

    func features(_ request: APIRequest) async throws -> APIResponse {
        let all = table
        return prometheusSuccess { json in
            json.beginObject()
            for (category, entries) in all.sorted(by: { $0.key < $1.key }) {
                json.key(category)
                json.beginObject()
                for (name, isOn) in entries.sorted(by: { $0.key < $1.key }) {
                    json.member(name, isOn)
                }
                json.endObject()
            }
            json.endObject()
        }
    }

    private var table: [String: [String: Bool]] {
        [
            "api": [
                "admin": isAdminEnabled, "lifecycle": isLifecycleEnabled,
                "label_values_match": true,
                "openapi_3.1": true, "otlp_write_receiver": true, "query_stats": true,
                "query_warnings": true, "remote_write_receiver": true, "search": true,
                "search_fuzz_alg_jarowinkler": true, "search_fuzz_alg_subsequence": true,
                "time_range_labels": true, "time_range_series": true,
            ],
            "prometheus": ["agent_mode": false, "server_mode": true],
            "promql": promql, "promql_functions": functions, "promql_operators": operators,
            "scrape": ["extra_scrape_metrics": true],
            "tsdb": ["exemplar_storage": true, "native_histograms": true],
        ]
    }

    private var promql: [String: Bool] {
        var result: [String: Bool] = [
            "anchored": features.extendedRangeSelectors,
            "smoothed": features.extendedRangeSelectors,
            "delayed_name_removal": features.delayedNameRemoval,
            "per_step_stats": features.perStepStatistics, "type_and_unit_labels": false,
        ]
        for name in ["fill", "fill_left", "fill_right"] { result[name] = features.fillModifiers }
        for name in [
            "at_modifier", "bool", "by", "duration_expr", "group_left", "group_right", "ignoring",
            "negative_offset", "offset", "on", "per_query_lookback_delta", "subqueries", "without",
        ] { result[name] = true }
        return result
    }

    private var functions: [String: Bool] {
        FunctionSignature.all.mapValues { !$0.isExperimental || features.experimentalFunctions }
    }

    private var operators: [String: Bool] {
        var result: [String: Bool] = ["=~": true, "!~": true, "@": true]
        for operation in BinaryOperator.allCases { result[operation.rawValue] = true }
        for operation in AggregationOperator.allCases {
            result[operation.rawValue] =
                !operation.isExperimental || features.experimentalFunctions
        }
        return result
    }
}
