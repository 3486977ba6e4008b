"""The words of the samples."""

REVIEW = """\
Three nights in the old town

We booked the Linden House for a long weekend and would happily go back. The room was small
but spotless, the bed was the most comfortable we have slept in for years, and breakfast was
wonderful: warm bread, proper coffee and fruit that tasted of something.

The staff deserve a special mention. When our train was late, Marta at the reception kept the
kitchen open for us and would not hear of a tip. The only thing we did not love was the street
noise on Saturday night, so ask for a room at the back.

Great value, lovely people. Highly recommended!
"""

TICKET = """\
Hello,

I cancelled order 51-88207 on Monday, before it was sent, and your page says "cancelled". Today the
full amount was taken from my card all the same.

Please tell me when I get my refund. I attached nothing, but I can send the card statement if you
need it.

Thank you
Jonas Keller
"""

COMPLAINT = """\
Dear customer service,

our order 48-20713 arrived this morning, and five of the twelve chairs are broken: two have a
split seat, three came without their rear legs. Our restaurant reopens on Friday, so we need
replacements by Thursday at the latest.

Could you please confirm today whether you can deliver in time? If not, I have to buy chairs
elsewhere and will return the whole order. The delivery note is attached.

You can reach me at any time under +44 20 7946 0958.

Kind regards
Amara Osei
The Copper Kettle
"""

DELIVERY_NOTE = """\
DELIVERY NOTE 90311

Order:      48-20713
Customer:   The Copper Kettle, 14 Harbour Row
Carrier:    Northline Freight
Delivered:  Tuesday 3 March 2026, 08:40

Item                         Ordered   Delivered
Bistro chair "Ardea", oak         12          12
Felt glides, set of 4             12          12

Remarks of the driver: two cartons wet, one carton open.
"""

OFFER_HTML = """\
<html><head><style>.gone { display: none }</style></head><body>
<h1>Spring is here, and so are 40&nbsp;% off!</h1>
<p>Dear friend of <b>Garden &amp; Gather</b>,</p>
<p>only until Sunday: <a href="https://shop.example/spring">every planter, every parasol and
every pot</a> at spring prices. Free delivery from &euro;&nbsp;50, no code needed.</p>
<ul><li>Terracotta pots from &euro;&nbsp;4.90</li><li>Parasol &ldquo;Lido&rdquo;, 3 m,
&euro;&nbsp;89 instead of &euro;&nbsp;149</li><li>Seeds: buy three, pay two</li></ul>
<p class="gone">You will not see this line, and Mailroom does not read it.</p>
<p><small>You get this mail because you subscribed on shop.example.
<a href="https://shop.example/leave">Unsubscribe</a></small></p>
</body></html>
"""

NDA = [
    ("title", "MUTUAL NON-DISCLOSURE AGREEMENT"),
    (
        "text",
        "This Mutual Non-Disclosure Agreement (the “Agreement”) is entered into as of "
        "March 2, 2026 (the “Effective Date”) by and between Brightwater Analytics, Inc., a "
        "Delaware corporation (“Brightwater”), and Hollis & Penn Logistics LLC, an Oregon "
        "limited liability company (“Hollis”), each a “Party” and together the “Parties”.",
    ),
    ("head", "1. Confidential Information"),
    (
        "text",
        "“Confidential Information” means any information that a Party discloses to the other, "
        "in writing, orally or by inspection of tangible objects, and that is marked "
        "confidential or should reasonably be understood to be so. It does not include "
        "information that is or becomes public through no fault of the receiving Party.",
    ),
    ("head", "2. Use and Care"),
    (
        "text",
        "The receiving Party shall use Confidential Information only to evaluate a possible "
        "business relationship between the Parties, shall not disclose it to third parties, "
        "and shall protect it with the care it gives its own, and no less than reasonable care.",
    ),
    ("head", "3. Term and Termination"),
    (
        "text",
        "This Agreement commences on the Effective Date and continues for a term of three (3) "
        "years. Either Party may terminate it upon thirty (30) days’ prior written notice. The "
        "duties of Section 2 survive for two (2) years after termination.",
    ),
    ("head", "4. No Assignment"),
    (
        "text",
        "Neither Party may assign this Agreement without the prior written consent of the other "
        "Party, except to a successor to substantially all of its business.",
    ),
    ("head", "5. Governing Law"),
    (
        "text",
        "This Agreement shall be governed by and construed in accordance with the laws of the "
        "State of Delaware, without regard to its conflict of laws provisions.",
    ),
    (
        "text",
        "IN WITNESS WHEREOF, the Parties have executed this Agreement as of the Effective Date.",
    ),
    ("text", "Brightwater Analytics, Inc.\nBy: Elena Vargas, Chief Executive Officer"),
    ("text", "Hollis & Penn Logistics LLC\nBy: Samuel Hollis, Managing Member"),
]

CONSULTING = [
    [
        ("title", "CONSULTING AGREEMENT"),
        (
            "text",
            'This Consulting Agreement (the "Agreement") is made on January 12, 2026 between '
            "Tidewell Foods Ltd., a company organized under the laws of England (the "
            '"Company"), and Okafor Data Partners LLP (the "Consultant").',
        ),
        ("head", "1. Services"),
        (
            "text",
            "The Consultant shall analyse the Company's demand data and advise on a forecasting "
            "process, as described in Exhibit A. The Consultant shall perform the services with "
            "due skill and care.",
        ),
        ("head", "2. Fees and Payment"),
        (
            "text",
            "The Company shall pay the Consultant a fee of GBP 1,150 per day, not to exceed GBP "
            "46,000 in total. Invoices are payable within thirty (30) days of receipt.",
        ),
        ("head", "3. Term"),
        (
            "text",
            "This Agreement begins on February 1, 2026 and expires on July 31, 2026. It renews "
            "automatically for successive periods of three (3) months unless either party gives "
            "notice of non-renewal at least thirty (30) days before the end of the term.",
        ),
        ("head", "4. Termination for Convenience"),
        (
            "text",
            "The Company may terminate this Agreement at any time, without cause, upon fourteen "
            "(14) days' written notice to the Consultant.",
        ),
    ],
    [
        ("head", "5. Intellectual Property"),
        (
            "text",
            "All work product created under this Agreement shall be the exclusive property of "
            "the Company, and the Consultant hereby assigns to the Company all right, title and "
            "interest in it.",
        ),
        ("head", "6. Non-Compete"),
        (
            "text",
            "During the term and for six (6) months thereafter, the Consultant shall not provide "
            "similar services to a direct competitor of the Company in the United Kingdom.",
        ),
        ("head", "7. Limitation of Liability"),
        (
            "text",
            "Except for breach of confidentiality, neither party's total liability under this "
            "Agreement shall exceed the fees paid in the twelve (12) months before the claim "
            "arose.",
        ),
        ("head", "8. Governing Law"),
        (
            "text",
            "This Agreement is governed by the laws of England and Wales, and the parties submit "
            "to the exclusive jurisdiction of its courts.",
        ),
        ("text", "Signed for Tidewell Foods Ltd. by Helen Marsh, Director"),
        ("text", "Signed for Okafor Data Partners LLP by Chidi Okafor, Partner"),
    ],
]
