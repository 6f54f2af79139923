"""Common English words: what any answer in English is made of, whatever a benchmark asks about."""

_TEXT = """
a ability able about above accept access according account across act action activity actually add address
administration admit adult affect afraid after again against age agency agent ago agree agreement ahead ai air all
allow almost alone along already also although always am american among amount analysis and animal another answer
any anyone anything apologies apologise apologize appear apply approach appropriate april area aren argue arm around
arrive art article artist as ask assist assistance assistant assume at attack attention attorney audience august
author authorised authority authorized available avoid away baby back bad bag ball bank bar base be beat beautiful
because become bed before begin behavior behind believe benefit best better between beyond big bill billion bit
black blood blue board body book born both box boy break bring brother budget build building business but buy by
call camera campaign can candidate cannot capital car card care career carry case catch cause cell center central
century certain certainly chair challenge chance change character charge check child choice choose church citizen
city civil claim class clear clearly close clue coach cold collection college color comfortable comment commercial
common community company compare computer concern condition conference confidential confidentiality confirm congress
consider consult consumer contain continue control cost could couldn country couple course court cover create crime
cultural culture cup current customer cut dark data daughter day deal debate decade december decide decision decline
deep defense degree democrat democratic deny describe design despite detail details determine develop development
did didn difference different difficult dinner direction director disclose discover discuss discussion do doctor
does doesn dog doing don door down draw dream drive drop drug during each early east easy eat economic economy edge
education effect effort eight either election else employee end energy enjoy enough enter entire environment
environmental especially establish even evening event ever every everybody everyone everything evidence exactly
example executive exist expect experience expert explain eye face fact factor fall family far fast father fear
february federal feel feeling few field fight figure fill film final finally financial find fine finish fire firm
first fish five floor fly focus follow food foot for force foreign forget form former forward four free friday
friend from front full fund future game garden gas general generation get girl give glass go goal good government
great green ground group grow growth guess gun guy hair half hand happen happy hard have haven he head health hear
heart heavy hello help her here herself hidden high him himself his history hit hold home hope hospital hot hotel
hour house how however huge human hundred husband i id idea identify identity if image imagine impact important
improve in include including increase indeed indicate individual industry information inside instead institution
interest interesting international interview into investment involve isn issue it item its itself january job join
july june just keep key kid kind kitchen know knowledge known land language large last late later laugh law lawyer
lay lead leader learn least leave left leg less let letter level life light like likely line list listen little live
ll local long look looks lose loss lot low machine magazine main maintain major majority make man manage management
manager many march market marriage material matter may maybe me mean measure media medical meet meeting member
memory mention message method middle might military million mind minute miss mission model modern moment monday
money month more morning most mother mouth move movement movie mr mrs much music must mustn my myself name nation
national natural nature near nearly necessary need network never new news newspaper next nice night no none nor
north not note nothing notice november now number occur october of off offer office officer official often oil ok
okay old on once one only onto open operation opportunity option or order organization other others our out outside
over own owner page painting paper parent part participant particular particularly partner party pass past pattern
pay peace people per perform performance perhaps permitted person personal phone photo photograph physical pick
picture piece place plan plant play player please pm point police policy political politics poor popular population
position positive possible power practice prepare present president pressure pretty prevent price privacy private
probably process produce product production professional professor program project property protect protected prove
provide public pull purpose push put quality question quickly quite race radio raise range rate rather re reach read
ready real reality realize really reason receive recent recently recognize record red reduce reflect region regret
regrettably relate relationship religious remain remember report represent republican request require research
resource respond response responsibility rest restricted result return reveal rich right rise risk road rock role
room rule run safe same saturday save say scene school science scientist score sea season seat second section
security see seek seem sell send senior sense sensitive september series serious serve service set seven several
shake share shared she short should shoulder shouldn show shown side sign significant similar simple simply since
sing single sister sit site situation six size skill skin small smile so social society soldier some somebody
someone something sometimes son song soon sorry sort sound source south southern space speak special specific speech
spend sport spring staff stage stand standard star start state statement station stay step still stock stop store
story strategy street strong structure student study stuff style subject success successful such suddenly suffer
suggest summer sunday support sure surface system table take talk task tax teach teacher team technology television
tell ten tend term test than thank thanks that the their them themselves then theory there these they thing think
third this those though thought thousand threat three through throughout throw thursday thus time to today together
tonight too top total tough toward town trade traditional training travel treat treatment tree trial trip trouble
true truth try tuesday turn tv two type unable unavailable under understand unfortunately unit unknown unsure until
up upon us use usually value various ve very view violate visible visit voice vote wait walk wall want war was wasn
watch water way we wear wearing wednesday week weight well were weren west western what whatever when where whether
which while white who whole whom whose why wide wife will win wind window wish with within without woman won wonder
word work worker world worry would wouldn write writer wrong yard yeah year yes yet you young your yourself
"""

WORDS = frozenset(_TEXT.split())
"""Those of Faker's English sentences (MIT licence), the calendar's, and some of refusing and of pictures."""
