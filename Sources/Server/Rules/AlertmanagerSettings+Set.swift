// SPDX-License-Identifier: Apache-2.0
// From settings to Alertmanagers.

import Rules
import Scrape

extension AlertmanagerSettings {
    /// The Alertmanagers of the targets known now.
    ///
    /// - Parameter discovered: beside those that the configuration lists.
    func set(_ posting: any AlertPosting, discovered: [TargetGroup]) -> AlertmanagerSet {
        var set = AlertmanagerSet(posting: posting)
        set.timeoutSeconds = timeoutSeconds
        set.alertRelabelRules = alertRelabelRules
        for group in groups + discovered {
            for target in group.targets {
                guard let (url, isDropped) = url(group, target) else { continue }
                if isDropped {
                    set.dropped.append(url)
                } else if !set.active.contains(url) {
                    set.active.append(url)
                }
            }
        }
        return set
    }

    /// Where a target of a group is posted to; nil when relabelling leaves no address.
    func url(
        _ group: TargetGroup, _ target: [NamedText]
    ) -> (url: String, isDropped: Bool)? {
        var targets = AlertmanagerTargets()
        targets.scheme = scheme
        targets.pathPrefix = pathPrefix
        targets.relabelRules = relabelRules
        return targets.url((group.labels + target).map { RuleText($0.name, $0.value) })
    }
}
