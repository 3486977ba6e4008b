"""Contracts: where each kind of clause stands, who the parties are, and the dates.

The clause categories are those of CUAD (Hendrycks et al. 2021), which lawyers look for when they
review a commercial contract.
"""

from __future__ import annotations

from nlp.kind import Kind

KIND = Kind(
    heads={},
    entities=(
        "Affiliate License-Licensee",
        "Affiliate License-Licensor",
        "Agreement Date",
        "Anti-Assignment",
        "Audit Rights",
        "Cap On Liability",
        "Change Of Control",
        "Competitive Restriction Exception",
        "Covenant Not To Sue",
        "Document Name",
        "Effective Date",
        "Exclusivity",
        "Expiration Date",
        "Governing Law",
        "Insurance",
        "Ip Ownership Assignment",
        "Irrevocable Or Perpetual License",
        "Joint Ip Ownership",
        "License Grant",
        "Liquidated Damages",
        "Minimum Commitment",
        "Most Favored Nation",
        "No-Solicit Of Customers",
        "No-Solicit Of Employees",
        "Non-Compete",
        "Non-Disparagement",
        "Non-Transferable License",
        "Notice Period To Terminate Renewal",
        "Parties",
        "Post-Termination Services",
        "Price Restrictions",
        "Renewal Term",
        "Revenue/Profit Sharing",
        "Rofr/Rofo/Rofn",
        "Source Code Escrow",
        "Termination For Convenience",
        "Third Party Beneficiary",
        "Uncapped Liability",
        "Unlimited/All-You-Can-Eat-License",
        "Volume Restriction",
        "Warranty Duration",
    ),
    model="span_tagger",
    weights="contract",
)
