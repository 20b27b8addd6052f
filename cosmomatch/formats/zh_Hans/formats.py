# Django groups by nothing here; invoices and orders group by three (GB/T 15835 allows it).
THOUSAND_SEPARATOR = ","
NUMBER_GROUPING = 3
