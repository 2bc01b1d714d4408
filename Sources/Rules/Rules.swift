// SPDX-License-Identifier: Apache-2.0
// Front door of Rules.

/// Recording and alerting rules.
package enum Rules {}
