// SPDX-License-Identifier: Apache-2.0
// Down-sampling of old days: ours, beside Prometheus' keys.

import Storage
import Yams

extension StorageSettings {
    /// `downsampling`, a list of rules, the older the coarser:
    ///
    ///     storage:
    ///       downsampling:
    ///         - after: 30d
    ///           resolution: 5m
    ///
    /// - Throws: for a resolution that does not divide a day or is below a minute, an age below two
    ///   days (late samples of yesterday would make the day be written again and again), and rules
    ///   that are not ascending in both.
    static func downsamplingRules(
        _ section: inout YAMLSection
    ) throws(ConfigurationError) -> [DownsamplingRule] {
        var rules: [DownsamplingRule] = []
        for rule in try section.sections("downsampling") {
            var rule = rule
            guard let after = try rule.duration("after"), after >= 2 * 86_400 else {
                throw rule.failure(
                    "a rule of storage.downsampling needs an age of at least 2d, for example "
                        + "after: 30d")
            }
            guard let resolution = try rule.duration("resolution"), resolution >= 60,
                resolution <= 86_400, 86_400_000 % Int64(resolution * 1000) == 0
            else {
                throw rule.failure(
                    "a rule of storage.downsampling needs a resolution from 1m to 1d that divides "
                        + "a day, for example resolution: 5m")
            }
            try rule.finish()
            let millis = Int64(resolution * 1000)
            if let last = rules.last,
                last.afterSeconds >= after || last.resolutionMillis >= millis
            {
                throw rule.failure(
                    "rules of storage.downsampling must ascend: each later and coarser than the "
                        + "one before")
            }
            guard rules.isEmpty || millis % (rules.last?.resolutionMillis ?? 1) == 0 else {
                throw rule.failure(
                    "a resolution of storage.downsampling must be a multiple of the one before")
            }
            rules.append(DownsamplingRule(afterSeconds: after, resolutionMillis: millis))
        }
        return rules
    }
}
